#include "collector/cli/cli.h"
#include "common/base/suggest.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Behind the options of the subcommand itself. */
#define GROUP 90

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "Common options:", GROUP},
    {"collector", 'C', "ADDRESS", 0,
     "address of the collector (default: $FLEETDUMP_COLLECTOR, else where `fleetdump login` was, else `collector` of "
     "~/.config/fleetdump/client.conf or /etc/fleetdump/client.conf, else 127.0.0.1:4741)",
     GROUP},
    {"utc", 'u', NULL, 0, "times in UTC, read and written", GROUP},
    {"quiet", 'q', NULL, 0, "no notes on stderr, errors only", GROUP},
    {0},
};

static const struct argp_option table_options[] = {
    {NULL, 0, NULL, 0, "Output:", GROUP - 1},
    {"output", 'o', "FORMAT", 0,
     "table (fitted to the terminal), wide (more columns, nothing cut), json, ndjson or csv (exact values, all "
     "columns) (default: table)",
     GROUP - 1},
    {"columns", 'c', "NAMES", 0, "columns to show, separated by commas, in this order", GROUP - 1},
    {"no-header", 'H', NULL, 0, "no line of titles", GROUP - 1},
    {0},
};

error_t cli_parse_format(struct argp_state *state, const char *arg, struct cli *cli)
{
    static const char *const names[] = {[OUTPUT_TABLE] = "table",
                                        [OUTPUT_WIDE] = "wide",
                                        [OUTPUT_JSON] = "json",
                                        [OUTPUT_NDJSON] = "ndjson",
                                        [OUTPUT_CSV] = "csv"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(arg, names[i]) == 0) {
            cli->format = (enum output_format)i;
            return 0;
        }
    argp_error(state, "-o %s: it is table, wide, json, ndjson or csv", arg);
    return EINVAL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct cli *cli = state->input;
    switch (key) {
    case 'C':
        cli->collector = arg;
        return 0;
    case 'u':
        setenv("TZ", "UTC0", 1);
        tzset();
        return 0;
    case 'q':
        cli->quiet = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_table(int key, char *arg, struct argp_state *state)
{
    struct cli *cli = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = cli;
        return 0;
    case 'o':
        return cli_parse_format(state, arg, cli);
    case 'c':
        cli->columns = arg;
        return 0;
    case 'H':
        cli->no_header = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child table_children[] = {{&cli_argp, 0, NULL, 0}, {0}};
const struct argp cli_argp = {options, parse, NULL, NULL, NULL, NULL, NULL};
const struct argp cli_table_argp = {table_options, parse_table, NULL, NULL, table_children, NULL, NULL};

/* ------------------------------------------------------------------ options that do not exist */

void cli_each_option(const struct argp *argp, void (*each)(void *context, const struct argp_option *o), void *context)
{
    for (const struct argp_option *o = argp->options; o && (o->name || o->key || o->doc); o++)
        if (o->name || o->key)
            each(context, o);
    for (const struct argp_child *c = argp->children; c && c->argp; c++)
        cli_each_option(c->argp, each, context);
}

/* Looks for an option by its letter, or else by its name; what argp adds by itself is known too. */
struct search {
    int letter; /* 0: by name */
    const char *name;
    size_t len;
    const struct argp_option *exact;
    bool prefix; /* of one at least: argp takes it, or says that it is ambiguous */
    struct suggest meant;
};

static void compare(void *context, const struct argp_option *o)
{
    struct search *s = context;
    if (s->letter && o->key == s->letter)
        s->exact = o;
    if (s->letter || !o->name)
        return;
    if (strncmp(o->name, s->name, s->len) == 0) {
        s->prefix = true;
        if (!o->name[s->len])
            s->exact = o;
    }
    suggest_consider(&s->meant, o->name);
}

static void look_up(const struct argp *argp, struct search *s)
{
    static const struct argp_option builtin[] = {{.name = "help"}, {.name = "usage"}, {.name = "version"}};
    suggest_begin(&s->meant, s->name, s->len);
    cli_each_option(argp, compare, s);
    for (size_t i = 0; i < sizeof builtin / sizeof builtin[0]; i++)
        compare(s, &builtin[i]);
}

/* Whether the next word is the value of these short options. */
static bool takes_next(const struct argp *argp, const char *letters)
{
    for (; *letters; letters++) {
        struct search s = {.letter = *letters};
        look_up(argp, &s);
        if (s.exact && s.exact->arg)
            return !letters[1];
    }
    return false;
}

static void refuse(const struct command *c, const struct search *s)
{
    struct error e = ERROR_INIT; /* makes it printable */
    const char *near = s->meant.word;
    error_set(&e, ERROR_USAGE, "no option '--%.*s'%s%s%s (`fleetdump %s --help` lists them)",
              (int)(s->len < 64 ? s->len : 64), s->name, near ? ": did you mean '--" : "", near ? near : "",
              near ? "'?" : "", c->name);
    fprintf(stderr, "fleetdump %s: %s\n", c->name, e.text);
    exit(EXIT_USAGE);
}

static void check_options(const struct command *c, int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (argv[i][0] != '-')
            continue;
        if (argv[i][1] != '-') {
            i += takes_next(c->argp, argv[i] + 1);
            continue;
        }
        struct search s = {.name = argv[i] + 2, .len = strcspn(argv[i] + 2, "=")};
        look_up(c->argp, &s);
        if (!s.prefix)
            refuse(c, &s);
        i += s.exact && s.exact->arg && !s.name[s.len];
    }
}

/* ------------------------------------------------------------------ --help */

#define HELP_INDENT 23
#define HELP_WIDTH  79

/* Text behind what stands on the line already, going on below itself. */
static void put_wrapped(const char *text, FILE *to)
{
    size_t at = HELP_INDENT;
    while (*text) {
        size_t len = strcspn(text, " ");
        if (at > HELP_INDENT && at + 1 + len > HELP_WIDTH) {
            fprintf(to, "\n%*s", HELP_INDENT - 1, "");
            at = HELP_INDENT;
        }
        fprintf(to, " %.*s", (int)len, text);
        at += len + 1;
        text += len + strspn(text + len, " ");
    }
    fputc('\n', to);
}

static void put_columns(const struct command *c, FILE *to)
{
    const char *help = NULL, *name = c->column(c->columns_of, 0, &help);
    fputs(help ? "\nFields (for --columns, --sort, --by; numbers also in filters, as in 'bytes > 1M'):\n"
               : "\nColumns (for --columns):",
          to);
    for (size_t i = 0; name; name = c->column(c->columns_of, ++i, &help))
        if (help) {
            fprintf(to, "  %-20s", name);
            put_wrapped(help, to);
        } else
            fprintf(to, "%s %s", i ? "," : "", name);
    fputc('\n', to);
}

/* The command's own text, and the columns behind it; malloc'ed, or NULL. */
static char *make_doc(const struct command *c)
{
    char *doc = NULL;
    size_t len;
    FILE *to = open_memstream(&doc, &len);
    if (!to)
        return NULL;
    fputs(c->argp->doc, to);
    if (c->column)
        put_columns(c, to);
    return fclose(to) == 0 ? doc : NULL;
}

void cli_parse(const struct command *c, int argc, char **argv, void *input)
{
    struct argp argp = *c->argp;
    char *doc = make_doc(c);
    if (doc)
        argp.doc = doc;
    check_options(c, argc, argv);
    argp_parse(&argp, argc, argv, 0, NULL, input);
    free(doc);
}

/* ------------------------------------------------------------------ notes */

void note(const struct cli *cli, const char *fmt, ...)
{
    struct error text = ERROR_INIT; /* makes it printable */
    char raw[ERROR_TEXT_MAX];
    va_list args;
    if (cli->quiet)
        return;
    va_start(args, fmt);
    vsnprintf(raw, sizeof raw, fmt, args);
    va_end(args);
    (void)error_set(&text, ERROR_NONE, "%s", raw);
    fprintf(stderr, "%s\n", text.text);
}
