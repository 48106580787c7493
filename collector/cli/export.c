/*
 * fleetdump export: one chunk as it is stored.
 */
#include "collector/cli/client.h"
#include "collector/cli/output_file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct export
{
    struct cli *cli;
    const char *write, *chunk;
    struct output_file file;
};

static const struct argp_option options[] = {
    {"write", 'w', "FILE", 0, "the file; - for standard output (default: CHUNK.pcapng.zst)", 5},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct export *x = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = x->cli;
        return 0;
    case 'w':
        x->write = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (x->chunk)
            argp_error(state, "one chunk at a time");
        x->chunk = arg;
        return 0;
    case ARGP_KEY_END:
        if (!x->chunk)
            argp_error(state, "which chunk? `fleetdump chunks` lists them");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* EPOCH.SEQ: 32 hex digits, a dot, a number. */
static int parse_chunk(const char *text, struct message_query *q, struct error *e)
{
    char *end = NULL;
    size_t digits = strspn(text, "0123456789abcdef");
    if (digits == 2 * EPOCH_SIZE && text[digits] == '.' && text[digits + 1] >= '0' && text[digits + 1] <= '9')
        q->seq = strtoull(text + digits + 1, &end, 10);
    if (!end || *end)
        return error_set(
            e, ERROR_USAGE,
            "'%.80s' is no chunk: it looks like 00112233445566778899aabbccddeeff.7 (`fleetdump chunks` lists them)",
            text);
    for (size_t i = 0; i < EPOCH_SIZE; i++) {
        char byte[3] = {text[2 * i], text[2 * i + 1], 0};
        q->epoch[i] = (uint8_t)strtoul(byte, NULL, 16);
    }
    return 0;
}

static int take(void *context, const struct message_result *r, struct error *e)
{
    struct export *x = context;
    return output_file_write(&x->file, r->data, r->length, e);
}

static int ask(struct export *x, const struct message_query *q, struct error *e)
{
    struct client_answer answer;
    char name[128];
    snprintf(name, sizeof name, "%.100s.pcapng.zst", x->chunk);
    int r = output_file_open(x->write ? x->write : name, &x->file, e);
    if (r == 0)
        r = client_ask(x->cli, q, "export", take, x, &answer, e);
    if (r)
        return r;
    free(answer.manifest);
    if (answer.code)
        return error_set(e, answer.code, "%s", answer.text);
    r = output_file_keep(&x->file, e);
    if (r == 0 && !x->write && !x->cli->quiet)
        fprintf(stderr, "wrote %s (zstd -dc %s | tcpdump -nr - shows it)\n", name, name);
    return r;
}

int command_export(int argc, char **argv, struct cli *cli, struct error *e)
{
    static const struct argp_child children[] = {{&cli_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {options,
                                     parse,
                                     "CHUNK",
                                     "One chunk as it is stored: a valid .pcapng.zst file.\v"
                                     "Example:\n  fleetdump chunks --capture monday\n  fleetdump export "
                                     "00112233445566778899aabbccddeeff.7 -w - | zstd -dc | tcpdump -nr -\n",
                                     children,
                                     NULL,
                                     NULL};
    struct export x = {.cli = cli, .file = {.fd = -1}};
    struct message_query q = {.kind = QUERY_EXPORT, .until_ns = UINT64_MAX};
    argp_parse(&argp, argc, argv, 0, NULL, &x);
    int r = parse_chunk(x.chunk, &q, e);
    if (r == 0)
        r = ask(&x, &q, e);
    output_file_close(&x.file);
    return r;
}
