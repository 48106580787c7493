/*
 * fleetdump pull: packets of all hosts, merged by time into one pcapng file.
 */
#include "collector/cli/output_file.h"
#include "collector/cli/pulling.h"
#include <stdlib.h>
#include <string.h>

struct pull {
    struct pulling p;
    const char *write, *manifest;
    struct output_file file;
};

enum { OPTION_MANIFEST = 0x500 };

static const struct argp_option options[] = {
    {"write", 'w', "FILE", 0, "the pcapng file; - for standard output", 5},
    {"manifest", OPTION_MANIFEST, "FILE", 0,
     "write what the file holds and lacks there, as JSON; - for standard output", 5},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct pull *p = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &p->p;
        return 0;
    case 'w':
        p->write = arg;
        return 0;
    case OPTION_MANIFEST:
        p->manifest = arg;
        return 0;
    case ARGP_KEY_END:
        if (!p->write)
            argp_error(state, "-w FILE says where the packets go (-w - for a pipe; `fleetdump print` shows them)");
        if (p->manifest && strcmp(p->manifest, "-") == 0 && strcmp(p->write, "-") == 0)
            argp_error(state, "packets and manifest cannot both go to standard output");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int take(void *context, const struct message_result *r, struct error *e)
{
    struct pull *p = context;
    return output_file_write(&p->file, r->data, r->length, e);
}

static int write_manifest(const struct pull *p, const char *text, struct error *e)
{
    struct output_file f;
    if (!p->manifest || !text)
        return 0;
    if (strcmp(p->manifest, "-") == 0)
        f = (struct output_file){.fd = 1};
    else {
        int r = output_file_open(p->manifest, &f, e);
        if (r)
            return r;
    }
    int r = output_file_write(&f, text, strlen(text), e);
    if (r == 0)
        r = output_file_write(&f, "\n", 1, e);
    if (r == 0)
        r = output_file_keep(&f, e);
    output_file_close(&f);
    return r;
}

static int ask(struct pull *p, struct error *e)
{
    struct client_answer answer;
    int r = output_file_open(p->write, &p->file, e);
    if (r)
        return r;
    r = client_ask(p->p.u.cli, &p->p.u.q, "pull", take, p, &answer, e);
    if (r)
        return r;
    int account = pulling_account(p->p.u.cli, &answer, e);
    if (account == 0 || account == ERROR_INCOMPLETE) {
        struct error why = ERROR_INIT;
        r = output_file_keep(&p->file, &why);
        if (r == 0)
            r = write_manifest(p, answer.manifest, &why);
        if (r)
            *e = why;
    }
    free(answer.manifest);
    return r ? r : account;
}

int command_pull(int argc, char **argv, struct cli *cli, struct error *e)
{
    static const struct argp_child children[] = {{&pulling_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        options,
        parse,
        "[FILTER]",
        "Packets of all hosts, merged by time into one pcapng file.\v"
        "A filter with words that only a connection knows (from, to, state, bytes > 1M, ...) gives whole connections, "
        "one without exactly the "
        "packets that match.\n\n"
        "Examples:\n"
        "  fleetdump pull 'host 10.0.0.5 and port 80' -w out.pcapng\n"
        "  fleetdump pull 'from 10.0.0.5 and to port 80' --since 15m -w - | wireshark -k -i -\n"
        "  fleetdump pull --capture monday --vantage all --packets -w all.pcapng --manifest all.json\n",
        children,
        NULL,
        NULL};
    struct pull p = {.p = {.u = {.cli = cli}, .link_type = UINT32_MAX}, .file = {.fd = -1}};
    argp_parse(&argp, argc, argv, 0, NULL, &p);
    int r = pulling_prepare(&p.p, e);
    if (r == 0)
        r = ask(&p, e);
    output_file_close(&p.file);
    question_free(&p.p.u);
    return r;
}
