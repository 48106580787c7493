#include "collector/audit/choice.h"

#include "common/base/glob.h"
#include "common/base/units.h"
#include <jansson.h>
#include <string.h>

static bool fits_text(const json_t *line, const char *name, const char *glob)
{
    const char *text = json_string_value(json_object_get(line, name));
    return !glob || !glob[0] || (text && glob_match(glob, text, strlen(text)));
}

static bool fits_who(const json_t *line, const char *glob)
{
    const char *text = json_string_value(json_object_get(line, "who"));
    const char *name = text ? strchr(text, ' ') : NULL;
    return fits_text(line, "who", glob) || (name && glob_match(glob, name + 1, strlen(name + 1)));
}

static bool fits_time(const json_t *line, const struct audit_choice *c)
{
    const char *time = json_string_value(json_object_get(line, "time"));
    uint64_t at_ns = 0;
    return time && units_parse_time(time, 0, &at_ns, NULL) == 0 && at_ns >= c->since_ns &&
           (!c->until_ns || at_ns <= c->until_ns);
}

bool audit_choice_fits(const struct audit_choice *c, const char *line, size_t len)
{
    json_t *j = json_loadb(line, len, 0, NULL);
    bool fits = fits_time(j, c) && fits_who(j, c->who) && fits_text(j, "event", c->event);
    json_decref(j);
    return fits;
}
