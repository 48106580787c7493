#include "common/net/identity.h"

#include <string.h>

static const char *const kinds[] = {[IDENTITY_NONE] = "nobody",
                                    [IDENTITY_AGENT] = "agent",
                                    [IDENTITY_USER] = "user",
                                    [IDENTITY_COLLECTOR] = "collector"};

const char *identity_kind_name(int kind)
{
    return kind > 0 && kind < (int)(sizeof kinds / sizeof *kinds) ? kinds[kind] : kinds[IDENTITY_NONE];
}

int identity_check_name(const char *name, struct error *e)
{
    size_t length = strlen(name);
    bool good = length > 0 && length <= HEAD_NAME_MAX && name[0] != '@';
    for (size_t i = 0; good && i < length; i++)
        good = name[i] > ' ' && name[i] <= '~' && !strchr("/*?'\"%", name[i]);
    if (good)
        return 0;
    return error_set(e, ERROR_USAGE,
                     "name '%.80s': 1 to %u letters, digits and signs; no spaces, quotes, slashes, '*', '?', '%%' or "
                     "leading '@'",
                     name, HEAD_NAME_MAX);
}
