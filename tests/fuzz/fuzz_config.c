#include "common/base/config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct settings {
    char *name;
    struct config_strings peers;
    uint64_t count, bytes, duration_ns, time_ns;
    bool flag;
};

#define AT(field) offsetof(struct settings, field)

static const struct config_key KEYS[] = {
    {"name", CONFIG_STRING, UNIT_NONE, AT(name), "n", 0, 0, ""},
    {"peer", CONFIG_STRINGS, UNIT_NONE, AT(peers), NULL, 0, 0, ""},
    {"count", CONFIG_NUMBER, UNIT_COUNT, AT(count), NULL, 1, 1000, ""},
    {"bytes", CONFIG_NUMBER, UNIT_BYTES, AT(bytes), NULL, 0, 0, ""},
    {"duration", CONFIG_NUMBER, UNIT_NS, AT(duration_ns), NULL, 0, 0, ""},
    {"time", CONFIG_NUMBER, UNIT_TIME_NS, AT(time_ns), NULL, 0, 0, ""},
    {"flag", CONFIG_BOOL, UNIT_NONE, AT(flag), NULL, 0, 0, ""},
    {0},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct settings s;
    struct error e = ERROR_INIT;
    int code = config_parse(KEYS, "fuzz", (const char *)data, len, &s, &e);
    if (code == 0 && (!s.name || s.count > 1000))
        abort();
    if (code != 0 && (s.name || s.peers.items || !e.text[0]))
        abort();
    config_free(KEYS, &s);
    return 0;
}
