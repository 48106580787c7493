#include "common/base/manual.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Hyphens of options are to be found and copied as they are typed. */
static void put_escaped(const char *text, size_t len, FILE *to)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\\')
            fputs("\\e", to);
        else if (text[i] == '-')
            fputs("\\-", to);
        else if (text[i] == '"')
            fputs("\\(dq", to);
        else
            fputc(text[i], to);
}

/* Words of a macro's line: none of them is a macro. */
static void put_words(const char *text, size_t len, FILE *to)
{
    for (size_t n; len; text += n, len -= n) {
        n = 0;
        while (n < len && text[n] != ' ')
            n++;
        if (n) {
            fputs("\\&", to);
            put_escaped(text, n, to);
        } else {
            fputc(' ', to);
            n = 1;
        }
    }
}

static void put_line(const char *text, size_t len, FILE *to)
{
    if (len && (text[0] == '.' || text[0] == '\''))
        fputs("\\&", to);
    put_escaped(text, len, to);
    fputc('\n', to);
}

static bool ends_sentence(const char *text, size_t at, size_t len)
{
    return strchr(".!?", text[at]) && at + 2 < len && text[at + 1] == ' ' && isupper((unsigned char)text[at + 2]);
}

/* Each sentence on a line of its own, as mdoc wants it. */
static void put_sentences(const char *text, size_t len, FILE *to)
{
    size_t begin = 0;
    for (size_t i = 0; i < len; i++)
        if (ends_sentence(text, i, len)) {
            put_line(text + begin, i + 1 - begin, to);
            begin = i + 2;
        }
    put_line(text + begin, len - begin, to);
}

void manual_line(const char *text, FILE *to)
{
    put_sentences(text, strlen(text), to);
}

void manual_text(const char *text, FILE *to)
{
    bool literal = false, paragraph = false, any = false;
    for (size_t n; *text; text += n + (text[n] == '\n')) {
        n = strcspn(text, "\n");
        if (n == 0) {
            paragraph = any;
            continue;
        }
        if (literal != (text[0] == ' ')) {
            fputs(literal ? ".Ed\n" : ".Bd -literal -offset indent\n", to);
            literal = !literal;
            paragraph = paragraph && !literal;
        }
        if (paragraph)
            fputs(literal ? "\n" : ".Pp\n", to);
        paragraph = false;
        any = true;
        if (literal)
            put_line(text + (n < 2 ? n : 2), n < 2 ? 0 : n - 2, to);
        else
            put_sentences(text, n, to);
    }
    if (literal)
        fputs(".Ed\n", to);
}

/* ---------------------------------------------------------------- options */

static bool is_header(const struct argp_option *o)
{
    return !o->name && !o->key;
}

static void put_argument(const char *sep, const char *arg, FILE *to)
{
    fprintf(to, "%s Ar ", sep);
    put_words(arg, strlen(arg), to);
}

static void put_option(const struct argp_option *o, FILE *to)
{
    bool letter = o->key > 0 && o->key < 128 && isgraph(o->key);
    fputs(".It", to);
    if (letter) {
        fprintf(to, " Fl %c", o->key);
        if (o->arg && !o->name)
            put_argument("", o->arg, to);
    }
    if (o->name) {
        fprintf(to, "%s Fl \\-", letter ? " ," : "");
        put_escaped(o->name, strlen(o->name), to);
        if (o->arg)
            put_argument(" Ns = Ns", o->arg, to);
    }
    fputc('\n', to);
    if (o->doc)
        manual_text(o->doc, to);
}

void manual_options(const struct argp_option *options, FILE *to)
{
    bool open = false;
    for (const struct argp_option *o = options; o && (o->name || o->key || o->doc); o++) {
        if (o->flags & OPTION_HIDDEN)
            continue;
        if (is_header(o)) {
            if (o != options)
                fputs(open ? ".El\n.Pp\n" : ".Pp\n", to);
            open = false;
            manual_line(o->doc, to);
            continue;
        }
        if (!open)
            fputs(".Bl -tag -width 4n\n", to);
        open = true;
        put_option(o, to);
    }
    if (open)
        fputs(".El\n", to);
}

static void put_options_behind_text(const struct argp_option *options, FILE *to)
{
    if (options && is_header(options) && options->doc)
        fputs(".Pp\n", to);
    manual_options(options, to);
}

/* ---------------------------------------------------------------- commands */

static void put_usage(const char *name, const char *args, FILE *to)
{
    fputs(".Bd -literal -offset indent -compact\n", to);
    while (args) {
        const char *end = strchr(args, '\n');
        size_t len = end ? (size_t)(end - args) : strlen(args);
        put_escaped(name, strlen(name), to);
        fputs(len ? " [OPTION...] " : " [OPTION...]", to);
        put_line(args, len, to);
        args = end ? end + 1 : NULL;
    }
    fputs(".Ed\n.Pp\n", to);
}

void manual_command(const char *name, const struct argp *argp, bool (*put_child)(const struct argp *child, FILE *to),
                    FILE *to)
{
    const char *doc = argp->doc ? argp->doc : "", *rest = strchr(doc, '\v');
    put_usage(name, argp->args_doc ? argp->args_doc : "", to);
    size_t len = rest ? (size_t)(rest - doc) : strlen(doc);
    char *before = strndup(doc, len);
    if (before)
        manual_text(before, to);
    free(before);
    put_options_behind_text(argp->options, to);
    for (const struct argp_child *c = argp->children; c && c->argp; c++)
        if (!put_child || !put_child(c->argp, to))
            put_options_behind_text(c->argp->options, to);
    if (rest) {
        fputs(".Pp\n", to);
        manual_text(rest + 1, to);
    }
}

/* ---------------------------------------------------------------- keys */

static void put_range(const struct config_key *k, FILE *to)
{
    char text[40];
    if (k->fallback && k->fallback[0]) {
        fputs("Default:\n.Li ", to);
        put_words(k->fallback, strlen(k->fallback), to);
        fputs(" .\n", to);
    }
    if (k->type == CONFIG_STRINGS)
        fputs("May be given several times.\n", to);
    if (k->type != CONFIG_NUMBER)
        return;
    if (k->least)
        fprintf(to, "At least %s.\n", units_format(k->unit, k->least, text, sizeof text));
    if (k->most && k->most != UINT64_MAX)
        fprintf(to, "At most %s.\n", units_format(k->unit, k->most, text, sizeof text));
}

void manual_keys(const struct config_key *keys, FILE *to)
{
    static const char *const kinds[] = {[CONFIG_STRING] = "TEXT", [CONFIG_STRINGS] = "TEXT", [CONFIG_BOOL] = "yes|no"};
    fputs(".Bl -tag -width 4n\n", to);
    for (const struct config_key *k = keys; k->name; k++) {
        const char *kind = k->type != CONFIG_NUMBER ? kinds[k->type]
                           : k->unit == UNIT_BYTES  ? "BYTES"
                           : k->unit == UNIT_NS     ? "TIME"
                                                    : "NUMBER";
        fprintf(to, ".It Ic %s No = Ar %s\n", k->name, kind);
        char help[512];
        snprintf(help, sizeof help, "%c%s.", toupper((unsigned char)k->help[0]), k->help + 1);
        manual_line(help, to);
        put_range(k, to);
    }
    fputs(".El\n", to);
}

/* The program's own argp: argp_parse puts it under one that knows --help. */
static const struct argp *own_argp(const struct argp_state *state)
{
    const struct argp *root = state->root_argp;
    return root->options || !root->children ? root : root->children[0].argp;
}

void manual_print(const char *part, const char *program, const struct argp_state *state, const struct config_key *keys)
{
    if (strcmp(part, "keys") == 0)
        manual_keys(keys, stdout);
    else if (strcmp(part, "command") == 0)
        manual_command(program, own_argp(state), NULL, stdout);
    else
        argp_error(state, "--manual %s: it is command or keys", part);
    exit(fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED);
}
