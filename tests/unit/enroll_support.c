#include "tests/unit/enroll_support.h"

#include "collector/server/enroll.h"
#include "common/net/ca.h"
#include "common/net/reach.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct identity pretended;

const struct session *pretends;

const struct identity *__wrap_session_identity(const struct session *s);

const struct identity *__wrap_session_identity(const struct session *s)
{
    static const struct identity nobody;
    return s->role == ROLE_CLIENT && (!pretends || pretends == s) ? &pretended : &nobody;
}

static void write_pem(struct world *w, const char *name, const struct buffer *pem)
{
    support_write(w->path, name, pem->data, pem->len);
}

int authority_set_up(void **state)
{
    pretended = (struct identity){.kind = IDENTITY_NONE};
    pretends = NULL;
    world_set_up(state);
    struct world *w = *state;
    struct buffer key = {0}, root = {0};
    world_stop(w);
    assert_int_equal(ca_new_key(&key, NULL), 0);
    assert_int_equal(ca_new_root(ca_text_of(&key), "test", clock_wall_ns(), CA_ROOT_LIFE_NS, &root, NULL), 0);
    write_pem(w, "ca.pem", &root);
    write_pem(w, "ca.key", &key);
    assert_int_equal(chmod(support_path(w->path, "ca.key"), 0600), 0);
    w->config.enroll = (struct enroll_config){.ca = strdup(support_path(w->path, "ca.pem")),
                                              .ca_key = strdup(support_path(w->path, "ca.key")),
                                              .address = "10.1.2.3",
                                              .life_ns = 3600 * NS_PER_S};
    w->config.insecure_plaintext = false;
    world_start(w);
    assert_int_equal(
        net_reach(w->config.enroll.address, "127.0.0.1:0", 1, w->server.reach, sizeof w->server.reach, NULL), 0);
    buffer_free(&key);
    buffer_free(&root);
    return 0;
}

int authority_tear_down(void **state)
{
    struct world *w = *state;
    free(TEXT(w->config.enroll.ca));
    free(TEXT(w->config.enroll.ca_key));
    return world_tear_down(state);
}

void joiner_on_open(void *context, struct stream *s)
{
    struct joiner *j = context;
    assert_int_equal(stream_send(s, &(struct message){.type = MESSAGE_ENROLL, .enroll = j->ask}, NULL), 0);
}

static void on_message(void *context, struct stream *s, const struct message *m)
{
    struct joiner *j = context;
    (void)s;
    assert_int_equal(m->type, MESSAGE_ENROLLED);
    const struct message_enrolled *e = &m->enrolled;
    j->answered = true;
    j->code = e->code;
    j->again_ms = e->again_ms;
    snprintf(j->text, sizeof j->text, "%s", e->text);
    for (uint32_t i = 0; i < e->label_count; i++)
        snprintf(j->labels + strlen(j->labels), sizeof j->labels - strlen(j->labels), "%s ", e->labels[i]);
    if (e->code == 0)
        assert_int_equal(ca_read_certificate(ca_text_string(e->certificate), &j->got, NULL), 0);
}

void joiner_on_close(void *context, struct stream *s, const struct error *why)
{
    (void)s;
    (void)why;
    ((struct joiner *)context)->closed = true;
}

struct joiner joiner_ask(struct world *w, const uint8_t *secret, const char *request)
{
    static const struct stream_events events = {
        .on_open = joiner_on_open, .on_message = on_message, .on_close = joiner_on_close};
    struct joiner j = {.w = w, .ask = {.secret = secret, .secret_length = secret ? 16 : 0, .request = TEXT(request)}};
    assert_int_equal(stream_connect(&w->loop, NULL, w->address, 5000, &events, &j, &j.stream, NULL), 0);
    UNTIL(w, j.closed);
    assert_true(j.answered);
    return j;
}

char *joiner_new_request(uint8_t kind, const char *name)
{
    struct buffer key = {0}, request = {0};
    assert_int_equal(ca_new_key(&key, NULL), 0);
    assert_int_equal(ca_new_request(ca_text_of(&key), kind, name, &request, NULL), 0);
    buffer_u8(&request, 0);
    buffer_free(&key);
    return (char *)request.data;
}

struct token authority_give(struct world *w, uint8_t kind, const char *name, uint64_t ttl_ns)
{
    static const char *const labels[] = {"role=web", "dc=fra"};
    struct enroll_wish wish = {.kind = kind, .name = name, .by = "root", .ttl_ns = ttl_ns};
    struct store_token row;
    struct token t;
    char text[TOKEN_TEXT_MAX];
    if (kind == IDENTITY_AGENT) {
        wish.labels = labels;
        wish.label_count = 2;
    }
    assert_int_equal(enroll_new_token(w->server.enroll, &wish, &row, text, NULL), 0);
    if (ttl_ns == 1)
        row.expires_ns = row.created_ns - 1;
    assert_int_equal(store_token_put_beside(w->path, &row, NULL), 0);
    assert_int_equal(token_parse(text, &t, NULL), 0);
    return t;
}
