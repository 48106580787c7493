/* words: words.def as the parser sees it and as people see it. */
#include "common/filter/words.h"
#include "common/filter/tree.h"
#include <string.h>
#include <strings.h>

static const struct word words[] = {
#define W(word_name, word_token, word_value, form, help) {word_name, word_token, word_value},
#include "common/filter/words.def"
#undef W
};

const struct filter_word filter_words[] = {
#define W(word_name, word_token, word_value, word_form, word_help) {word_name, word_form, word_help},
#include "common/filter/words.def"
#undef W
    {NULL, NULL, NULL},
};

#define WORDS (sizeof words / sizeof *words)

static const struct protocol protocols[] = {
    [PROTOCOL_NONE] = {.nets = NETS_ALL},
    [PROTOCOL_IP] = {.ethertype = ETHERTYPE_IP4, .nets = NETS_IP, .inner = true},
    [PROTOCOL_IP6] = {.ethertype = ETHERTYPE_IP6, .nets = NETS_IP6, .inner = true},
    [PROTOCOL_ARP] = {.ethertype = ETHERTYPE_ARP, .nets = NETS_ARP},
    [PROTOCOL_RARP] = {.ethertype = ETHERTYPE_RARP, .nets = NETS_RARP},
    [PROTOCOL_TCP] = {.number = PROTO_TCP, .nets = NETS_IP | NETS_IP6, .inner = true},
    [PROTOCOL_UDP] = {.number = PROTO_UDP, .nets = NETS_IP | NETS_IP6, .inner = true},
    [PROTOCOL_SCTP] = {.number = PROTO_SCTP, .nets = NETS_IP | NETS_IP6, .inner = true},
    [PROTOCOL_ICMP] = {.number = PROTO_ICMP, .nets = NETS_IP, .inner = true},
    [PROTOCOL_ICMP6] = {.number = PROTO_ICMP6, .nets = NETS_IP6, .inner = true},
    [PROTOCOL_IGMP] = {.number = 2, .nets = NETS_IP, .inner = true},
    [PROTOCOL_IGRP] = {.number = 9, .nets = NETS_IP, .inner = true},
    [PROTOCOL_PIM] = {.number = 103, .nets = NETS_IP | NETS_IP6, .inner = true},
    [PROTOCOL_VRRP] = {.number = 112, .nets = NETS_IP, .inner = true},
    [PROTOCOL_CARP] = {.number = 112, .nets = NETS_IP, .inner = true},
    [PROTOCOL_AH] = {.number = 51, .nets = NETS_IP | NETS_IP6, .inner = true},
    [PROTOCOL_ESP] = {.number = 50, .nets = NETS_IP | NETS_IP6, .inner = true},
    [PROTOCOL_DECNET] = {.ethertype = 0x6003},
    [PROTOCOL_LAT] = {.ethertype = 0x6004},
    [PROTOCOL_SCA] = {.ethertype = 0x6007},
    [PROTOCOL_MOPRC] = {.ethertype = 0x6002},
    [PROTOCOL_MOPDL] = {.ethertype = 0x6001},
    [PROTOCOL_LINK] = {0},
    [PROTOCOL_ISO] = {0},
    [PROTOCOL_ISIS] = {0},
    [PROTOCOL_OTHER] = {0},
};

const struct protocol *protocol_of(enum protocol_word word)
{
    return &protocols[word];
}

const struct word *word_named(const char *text, size_t len)
{
    for (size_t i = 0; i < WORDS; i++)
        if (strncmp(words[i].name, text, len) == 0 && words[i].name[len] == 0)
            return &words[i];
    return NULL;
}

#define MEANT_LENGTH_MAX 24

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Letters to insert, delete, replace or swap with the next, case aside. Both at most MEANT_LENGTH_MAX long. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned rows[3][MEANT_LENGTH_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= b_len; j++)
        last[j] = (unsigned)j;
    memcpy(before, last, sizeof rows[0]);
    for (size_t i = 1; i <= a_len; i++) {
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            bool same = lower(a[i - 1]) == lower(b[j - 1]);
            now[j] = least(least(last[j] + 1, now[j - 1] + 1), last[j - 1] + !same);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
                now[j] = least(now[j], before[j - 2] + 1);
        }
        unsigned *oldest = before;
        before = last;
        last = now;
        now = oldest;
    }
    return last[b_len];
}

static void consider(const char *text, size_t len, const char *candidate, unsigned *best, const char **meant)
{
    size_t candidate_len = strlen(candidate);
    if (candidate_len > MEANT_LENGTH_MAX)
        return;
    unsigned d = distance(text, len, candidate, candidate_len);
    if (d < *best) {
        *best = d;
        *meant = candidate;
    }
}

const char *word_meant(const char *text, size_t len, bool field_alone)
{
    if (len < 2 || len > MEANT_LENGTH_MAX)
        return NULL;
    unsigned best = len < 4 ? 2 : 3; /* one letter in short words, two in others */
    const char *meant = NULL;
    size_t fields;
    const struct field *field = field_table(&fields);
    for (size_t i = 0; i < WORDS && !field_alone; i++)
        consider(text, len, words[i].name, &best, &meant);
    for (size_t i = 0; i < fields; i++)
        consider(text, len, field[i].name, &best, &meant);
    return meant;
}
