/*
 * fleetdump pull: packets of all hosts, merged by time into one pcapng file.
 */
#include "collector/cli/pulling.h"
#include <stdlib.h>
#include <string.h>

struct pull {
    struct pulling p;
    const char *write, *manifest;
    struct output_file file, manifest_file;
};

enum { OPTION_MANIFEST = 0x500 };

static const struct argp_option options[] = {
    {"write", 'w', "FILE", 0, "the pcapng file; - for standard output", 5},
    {"manifest", OPTION_MANIFEST, "FILE", 0,
     "write what the answer holds and lacks there, as JSON; - for standard output", 5},
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
        else if (p->manifest && strcmp(p->manifest, "-") == 0 && strcmp(p->write, "-") == 0)
            argp_error(state, "packets and manifest cannot both go to standard output");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Before anything is asked: what cannot be written is known at once. */
static int open_files(struct pull *p, struct error *e)
{
    int r = output_file_open(p->write, true, &p->file, e);
    if (r == 0 && p->manifest)
        r = output_file_open(p->manifest, false, &p->manifest_file, e);
    return r;
}

static int write_manifest(struct pull *p, const json_t *manifest, struct error *e)
{
    char *text = p->manifest ? json_dumps(manifest, JSON_INDENT(2) | JSON_ENCODE_ANY) : NULL;
    if (!p->manifest)
        return 0;
    if (!text)
        return error_set(e, ERROR_INVALID, "the collector at %s sent no manifest", p->p.u.cli->collector);
    int r = output_file_write(&p->manifest_file, text, strlen(text), e);
    if (r == 0)
        r = output_file_write(&p->manifest_file, "\n", 1, e);
    free(text);
    return r ? r : output_file_keep(&p->manifest_file, e);
}

static int ask(struct pull *p, struct error *e)
{
    struct client_answer answer = {0};
    struct client *client = NULL;
    int r = client_open(p->p.u.cli, &client, e);
    if (r == 0)
        r = pulling_fetch(client, &p->p.u.q, &p->file, &answer, e);
    if (r == 0 && (answer.code == 0 || answer.code == ERROR_INCOMPLETE))
        r = write_manifest(p, answer.manifest, e);
    if (r == 0)
        r = pulling_conclude(p->p.u.cli, &answer, p->file.standard ? "the packets are" : "the file is", e);
    client_answer_free(&answer);
    client_close(client);
    return r;
}

static int run(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct pull p = {.p = PULLING_INIT(cli), .file = OUTPUT_FILE_NONE, .manifest_file = OUTPUT_FILE_NONE};
    cli_parse(&command_pull, argc, argv, &p);
    int r = open_files(&p, e);
    if (r == 0)
        r = pulling_prepare(&p.p, e);
    if (r == 0)
        r = ask(&p, e);
    output_file_close(&p.manifest_file);
    output_file_close(&p.file);
    question_free(&p.p.u);
    return r;
}

static const struct argp_child children[] = {{&pulling_argp, 0, NULL, 0}, {0}};
static const struct argp argp = {
    options,
    parse,
    "[FILTER]",
    "Packets of all hosts, merged by time into one pcapng file, with an interface for each agent's interface.\v"
    "A filter with words that only a connection knows (from, to, state, bytes > 1M, ...) gives whole connections, one "
    "without exactly the packets that match.\n\n"
    "Examples:\n"
    "  fleetdump pull 'host 10.0.0.5 and port 80' -w out.pcapng\n"
    "  fleetdump pull 'from 10.0.0.5 and to port 80' -w - | wireshark -k -i -\n"
    "  fleetdump pull --capture monday -w all.pcapng --manifest all.json\n\n"
    "`fleetdump help filter` lists the words of filters.\n",
    children,
    NULL,
    NULL};

const struct command command_pull = {
    .name = "pull",
    .summary = "packets of all hosts, merged by time into one pcapng file",
    .argp = &argp,
    .run = run,
};
