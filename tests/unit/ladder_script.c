#include "tests/unit/ladder_script.h"
#include "common/base/clock.h"
#include "tests/unit/packet_build.h"
#include "tests/unit/support.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t starts[2] = {0xfffffff0u, 7000}; /* one wraps soon */

struct line {
    uint32_t vantage;
    unsigned from;
    char kind[16]; /* flags, "udp", "icmp" */
    uint32_t numbers[2], count;
    unsigned window, id, hops;
    char payload[2048];
    size_t length;
};

struct script {
    struct ladder *ladder;
    uint32_t index[8]; /* of the vantages, or LADDER_NONE */
    double ms;
    unsigned id;
};

static void take_text(struct line *l, const char *text)
{
    for (l->length = 0; *text; text++) {
        if (*text == '~')
            l->payload[l->length++] = '\r';
        l->payload[l->length++] = *text == '_' ? ' ' : *text == '~' ? '\n' : *text;
    }
}

static void take_hex(struct line *l, const char *digits)
{
    unsigned byte;
    for (l->length = 0; sscanf(digits, "%2x", &byte) == 1; digits += 2)
        l->payload[l->length++] = (char)byte;
}

static void take_word(struct script *s, struct line *l, const char *word)
{
    unsigned value = (unsigned)strtoul(word + 1, NULL, 10);
    if (word[0] == '+') {
        memset(l->payload, 'x', value);
        l->length = value;
    } else if (word[0] == '@')
        s->ms = strtod(word + 1, NULL);
    else if (word[0] == 'w')
        l->window = value;
    else if (word[0] == 'i')
        l->id = value;
    else if (word[0] == 'h')
        l->hops = value;
    else if (word[0] == '=')
        take_text(l, word + 1);
    else if (word[0] == '#')
        take_hex(l, word + 1);
    else if (l->count < 2)
        l->numbers[l->count++] = (uint32_t)strtoul(word, NULL, 10);
}

static void put_transport(struct build *b, const struct line *l)
{
    static const char letters[] = "FSRPAU";
    unsigned flags = 0;
    if (strcmp(l->kind, "udp") == 0) {
        build_udp(b, l->from ? 53 : 4000, l->from ? 4000 : 53);
        return;
    }
    if (strcmp(l->kind, "icmp") == 0) {
        build_put16(build_icmp(b, l->numbers[0], 0) + 6, l->numbers[1]);
        return;
    }
    for (const char *f = l->kind; *f; f++)
        flags |= *f == '-' ? 0 : 1u << (strchr(letters, *f) - letters);
    uint8_t *tcp = build_tcp(b, l->from ? 80 : 4000, l->from ? 4000 : 80, flags);
    build_put32(tcp + 4, starts[l->from] + l->numbers[0]);
    build_put32(tcp + 8, l->count > 1 ? starts[!l->from] + l->numbers[1] : 0);
    build_put16(tcp + 14, l->window);
}

static void take_line(struct script *s, const struct line *l)
{
    unsigned proto = strcmp(l->kind, "udp") == 0 ? PROTO_UDP : strcmp(l->kind, "icmp") == 0 ? PROTO_ICMP : PROTO_TCP;
    struct build b = build_new();
    struct packet p;
    char name[32];
    memcpy(build_zero(&b, l->length), l->payload, l->length);
    put_transport(&b, l);
    uint8_t *ip = build_ip4(&b, proto, l->from ? "10.0.0.2" : "10.0.0.1", l->from ? "10.0.0.1" : "10.0.0.2");
    build_put16(ip + 4, l->id);
    ip[8] = (uint8_t)l->hops;
    build_ethernet(&b, ETHERTYPE_IP4);
    packet_decode(1, build_data(&b), build_length(&b), build_length(&b), &p);
    snprintf(name, sizeof name, "host-%c/eth0", 'a' + (char)l->vantage);
    if (s->index[l->vantage] == LADDER_NONE)
        assert_int_equal(ladder_add_vantage(s->ladder, name, &s->index[l->vantage], NULL), 0);
    uint64_t ns = SCRIPT_START_NS + (uint64_t)(int64_t)(s->ms * (double)NS_PER_MS + (s->ms < 0 ? -0.5 : 0.5));
    assert_int_equal(ladder_take(s->ladder, s->index[l->vantage], &p, ns, NULL), 0);
}

static void play(struct script *s, char *text)
{
    char *save = NULL, *word = strtok_r(text, " ", &save);
    struct line l = {.window = 1000, .id = ++s->id, .hops = 64};
    s->ms += 1;
    if (word && word[0] >= 'A' && word[0] <= 'H') {
        l.vantage = (uint32_t)(word[0] - 'A');
        word = strtok_r(NULL, " ", &save);
    }
    assert_non_null(word);
    l.from = word[0] == '<';
    snprintf(l.kind, sizeof l.kind, "%s", strtok_r(NULL, " ", &save));
    while ((word = strtok_r(NULL, " ", &save)))
        take_word(s, &l, word);
    take_line(s, &l);
}

struct ladder *ladder_script(const char *script)
{
    char text[4096], *save = NULL;
    struct script s = {.ms = -1};
    memset(s.index, 0xff, sizeof s.index);
    assert_int_equal(ladder_new(NULL, &s.ladder, NULL), 0);
    snprintf(text, sizeof text, "%s", script);
    for (char *line = strtok_r(text, ";", &save); line; line = strtok_r(NULL, ";", &save))
        play(&s, line);
    assert_int_equal(ladder_finish(s.ladder, NULL), 0);
    return s.ladder;
}
