#include "tests/unit/tcp_script.h"
#include "common/base/clock.h"
#include "tests/unit/support.h"

#include <stdlib.h>
#include <string.h>

const uint32_t tcp_script_starts[2] = {0xfffffff0u, 7000};

static uint16_t flags_of(const char *text)
{
    static const char letters[] = "FSRPAU";
    uint16_t flags = 0;
    for (; *text; text++) {
        const char *at = strchr(letters, *text);
        flags |= at ? (uint16_t)(1u << (at - letters)) : 0;
    }
    return flags;
}

static void take_word(struct tcp_segment *s, struct tcp_script *r, unsigned from, const char *word)
{
    uint32_t value = (uint32_t)strtol(word + (strchr("+wsmk@", word[0]) != NULL), NULL, 10);
    if (word[0] == '+')
        s->length = value;
    else if (word[0] == 'w')
        s->window = (uint16_t)value;
    else if (word[0] == 's')
        s->scale = (int8_t)value;
    else if (word[0] == 'm')
        s->mss = (uint16_t)value;
    else if (word[0] == 'k')
        s->sack_permitted = true;
    else if (word[0] == '@')
        r->ms = value;
    else
        s->ack = tcp_script_starts[!from] + value;
}

unsigned tcp_script_segment(struct tcp_script *r, char *text, struct tcp_segment *s)
{
    char *save = NULL, *who = strtok_r(text, " ", &save), *flags = strtok_r(NULL, " ", &save);
    char *seq = strtok_r(NULL, " ", &save), *word;
    assert_non_null(seq);
    unsigned from = who[0] == '<';
    r->ms++;
    *s = (struct tcp_segment){.number = ++r->number, .whole = true, .window = 1000, .scale = -1};
    s->flags = flags_of(flags);
    s->seq = tcp_script_starts[from] + (uint32_t)strtol(seq, NULL, 10);
    while ((word = strtok_r(NULL, " ", &save)))
        take_word(s, r, from, word);
    s->time_ns = (TCP_SCRIPT_T0_MS + r->ms) * NS_PER_MS;
    return from;
}
