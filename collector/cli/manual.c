#include "collector/cli/manual.h"
#include "collector/cli/pulling.h"
#include "collector/cli/question.h"
#include "common/base/manual.h"
#include "common/filter/filter.h"
#include "common/rows/field.h"
#include <stdio.h>
#include <string.h>

/* Tables of options that stand once in the page, and are referred to. */
static const struct shared {
    const struct argp *argp;
    const char *title, *of;
} shared[] = {
    {&question_argp, "Options of questions", "what is asked for"},
    {&pulling_argp, "Options of packets", "which packets come, and whence"},
    {&cli_table_argp, "Options of tables", "how it is printed"},
    {&cli_argp, "Options of all commands", NULL},
};

static bool refer(const struct argp *child, FILE *to)
{
    for (size_t i = 0; i < sizeof shared / sizeof shared[0]; i++)
        if (shared[i].argp == child) {
            if (shared[i].of)
                fprintf(to, ".Pp\nWith options for %s: see\n.Sx %s .\n", shared[i].of, shared[i].title);
            for (const struct argp_child *c = child->children; c && c->argp; c++)
                (void)refer(c->argp, to);
            return true;
        }
    return false;
}

/* Those with a meaning are fields of flows, which fleetdump-filter(7) lists. */
static void put_columns(const struct command *c)
{
    const char *help, *name = c->column(c->columns_of, 0, &help);
    if (name && help) {
        printf(".Pp\nIts columns are the fields that\n.Xr fleetdump-filter 7\nlists.\n");
        return;
    }
    printf(".Pp\nColumns:");
    for (size_t i = 0; name; name = c->column(c->columns_of, ++i, &help))
        printf("%s\n.Li %s", i ? " ," : "", name);
    printf(" .\n");
}

static void put_list(const struct command *const *list)
{
    char name[64];
    for (const struct command *const *c = list; *c; c++) {
        if (!(*c)->subcommands) {
            snprintf(name, sizeof name, "fleetdump %s", (*c)->name);
            printf(".Ss %s\n", (*c)->name);
            manual_command(name, (*c)->argp, refer, stdout);
            if ((*c)->column)
                put_columns(*c);
            continue;
        }
        put_list((*c)->subcommands);
    }
}

void manual_put_commands(const struct cli *cli, const struct command *of)
{
    (void)cli;
    (void)of;
    put_list(commands);
}

void manual_put_shared(const struct cli *cli, const struct command *of)
{
    (void)cli;
    (void)of;
    for (size_t i = 0; i < sizeof shared / sizeof shared[0]; i++) {
        printf(".Ss %s\n", shared[i].title);
        manual_options(shared[i].argp->options, stdout);
    }
}

void manual_put_words(const struct cli *cli, const struct command *of)
{
    (void)cli;
    (void)of;
    printf(".Bl -tag -width 4n\n");
    for (const struct filter_word *w = filter_words; w->name; w++)
        if (w->form[0]) {
            printf(".It Xo\n");
            manual_line(w->form, stdout);
            printf(".Xc\n");
            manual_line(w->help, stdout);
        }
    printf(".El\n.Pp\nOther words, and names of numbers:\n");
    for (const struct filter_word *w = filter_words; w->name; w++)
        if (!w->form[0])
            manual_line(w->name, stdout);
}

void manual_put_fields(const struct cli *cli, const struct command *of)
{
    size_t count;
    const struct field *fields = field_table(&count);
    (void)cli;
    (void)of;
    printf(".Bl -tag -width 4n\n");
    for (const struct field *f = fields; f < fields + count; f++) {
        printf(".It Li %s\n", f->name);
        manual_line(f->help ? f->help : "", stdout);
        if (f->exchange && strcmp(f->exchange->help, f->help) != 0) { /* both have it */
            printf(".br\nOf http, dns, tls:\n");
            manual_line(f->exchange->help, stdout);
        }
    }
    printf(".El\n");
}
