/* app_ssh: the version line of each side says what it runs; behind it all is encrypted soon. No exchanges. */
#include "agent/capture/conversation_impl.h"
#include "common/app/ssh.h"

#define TEXT_SIZE (4u * SSH_LINE_MAX + 1)

static size_t take(struct hearing *h, const uint8_t *data, size_t len)
{
    char room[TEXT_SIZE];
    struct app_text text = app_text_in(room, sizeof room);
    enum app_read r = ssh_version(data, len, &text);
    if (r == APP_READ_CUT)
        return 0;
    if (r == APP_READ_WHOLE) {
        conversation_say(h, &h->v->software[h->side], text.at, text.len);
        conversation_deafen(h, h->side);
    } else {
        conversation_deafen(h, h->side);
    }
    return len;
}

static void missed(struct hearing *h, uint64_t n)
{
    (void)n;
    conversation_deafen(h, h->side);
}

const struct app_reader app_ssh_reader = {
    .window = SSH_LINES_MAX * SSH_LINE_MAX,
    .take = take,
    .missed = missed,
};
