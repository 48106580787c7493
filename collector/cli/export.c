/*
 * fleetdump export: one chunk as it is stored.
 */
#include "collector/cli/client.h"
#include "collector/cli/output_file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct chunk_export {
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
    struct chunk_export *x = state->input;
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
    struct chunk_export *x = context;
    return output_file_write(&x->file, r->data, r->length, e);
}

static int ask(struct chunk_export *x, const struct message_query *q, struct error *e)
{
    struct client_answer answer;
    int r = client_ask(x->cli, q, "export", take, x, &answer, e);
    if (r == 0)
        r = client_conclude(x->cli, &answer, "the file is", e);
    client_answer_free(&answer);
    return r ? r : output_file_keep(&x->file, e);
}

static int run(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct chunk_export x = {.cli = cli, .file = OUTPUT_FILE_NONE};
    struct message_query q = {.kind = QUERY_EXPORT, .until_ns = UINT64_MAX};
    char name[128];
    cli_parse(&command_export, argc, argv, &x);
    int r = parse_chunk(x.chunk, &q, e);
    snprintf(name, sizeof name, "%.100s.pcapng.zst", x.chunk);
    if (r == 0)
        r = output_file_open(x.write ? x.write : name, true, &x.file, e);
    if (r == 0)
        r = ask(&x, &q, e);
    if (r == 0 && !x.write)
        note(cli, "wrote %s (zstd -dc %s | tcpdump -nr - shows it)", name, name);
    output_file_close(&x.file);
    return r;
}

static const struct argp_child children[] = {{&cli_argp, 0, NULL, 0}, {0}};
static const struct argp argp = {options,
                                 parse,
                                 "CHUNK",
                                 "One chunk as it is stored: a valid .pcapng.zst file.\v"
                                 "Examples:\n"
                                 "  fleetdump chunks --capture monday\n"
                                 "  fleetdump export 00112233445566778899aabbccddeeff.7 -w chunk.zst\n"
                                 "  zstd -dc chunk.zst | tcpdump -nr -\n",
                                 children,
                                 NULL,
                                 NULL};

const struct command command_export = {
    .name = "export",
    .summary = "one chunk as it is stored (.pcapng.zst)",
    .argp = &argp,
    .run = run,
};
