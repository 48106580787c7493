/* words: words.def as the parser sees it and as people see it. */
#include "common/filter/words.h"
#include "common/base/suggest.h"
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

/* What other programs call fields. */
static const struct {
    const char *name, *field;
} elsewhere[] = {{"host", "http_host"}, {"user_agent", "orig_software"}, {"user-agent", "orig_software"}};

const char *word_elsewhere(const char *text, size_t len)
{
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        if (strncmp(elsewhere[i].name, text, len) == 0 && elsewhere[i].name[len] == 0)
            return elsewhere[i].field;
    return NULL;
}

const char *word_meant(const char *text, size_t len, bool field_alone)
{
    struct suggest meant;
    size_t fields;
    if (word_elsewhere(text, len))
        return word_elsewhere(text, len);
    const struct field *field = field_table(&fields);
    suggest_begin(&meant, text, len);
    for (size_t i = 0; i < WORDS && !field_alone; i++)
        suggest_consider(&meant, words[i].name);
    for (size_t i = 0; i < fields; i++)
        suggest_consider(&meant, field[i].name);
    return meant.word;
}
