#include "collector/cli/order_live.h"
#include "collector/cli/grid.h"
#include "common/base/clock.h"
#include "common/base/units.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CELL_MAX     40u
#define ROWS_DEFAULT 24u
#define AROUND       4u /* rows of the terminal that are not agents: titles, sums, the line below, the cursor's */

struct order_live {
    const struct cli *cli;
    bool terminal;
    json_t *said; /* without a terminal: agent -> what was said of it last */
    json_t *order;
    char *below;
    unsigned drawn; /* lines that stand on the terminal */
};

/* ------------------------------------------------------------------ cells of a table */

static void put_agent(const json_t *a, char *buf)
{
    snprintf(buf, CELL_MAX, "%s", order_text(a, "agent"));
}

static void put_phase(const json_t *a, char *buf)
{
    snprintf(buf, CELL_MAX, "%s", order_text(a, "phase"));
}

static void put_interfaces(const json_t *a, char *buf)
{
    if (strlen(order_words(a, "interfaces", buf, CELL_MAX)) == CELL_MAX - 1)
        memcpy(buf + CELL_MAX - 4, "...", 4);
}

static void put_packets(const json_t *a, char *buf)
{
    units_format(UNIT_COUNT, order_number(a, "packets"), buf, CELL_MAX);
}

static void put_bytes(const json_t *a, char *buf)
{
    units_format(UNIT_BYTES, order_number(a, "bytes"), buf, CELL_MAX);
}

static void put_rate(const json_t *a, char *buf)
{
    units_format(UNIT_BYTES, order_number(a, "bytes_per_s"), buf, CELL_MAX - 2);
    strcat(buf, "/s");
}

static void put_drops(const json_t *a, char *buf)
{
    units_format(UNIT_COUNT, order_drops(a), buf, CELL_MAX);
}

static void put_left(const json_t *a, char *buf)
{
    json_t *v = json_object_get(a, "left_ns");
    uint64_t ns = order_number(a, "left_ns");
    if (!v || json_is_null(v) || ns >= INT64_MAX)
        snprintf(buf, CELL_MAX, "for ever");
    else if (ns < 60 * NS_PER_S)
        snprintf(buf, CELL_MAX, "%us", (unsigned)(ns / NS_PER_S));
    else
        units_format(UNIT_NS, ns / NS_PER_S * NS_PER_S, buf, CELL_MAX);
}

static const struct live_column {
    const char *title;
    void (*put)(const json_t *agent, char *buf); /* CELL_MAX bytes */
    int width;                                   /* at least; negative: aligned left */
} columns[] = {
    {"AGENT", put_agent, -8}, {"PHASE", put_phase, -7}, {"ON", put_interfaces, -6}, {"PACKETS", put_packets, 8},
    {"BYTES", put_bytes, 7},  {"RATE", put_rate, 8},    {"DROPPED", put_drops, 7},  {"LEFT", put_left, 8},
};
#define COLUMNS      (sizeof columns / sizeof columns[0])
#define COLUMN_PHASE 1u
#define COLUMN_ON    2u
#define COLUMN_RATE  5u
#define RATE_WIDTH   90u /* a narrower terminal has no room for rates: words matter more */
#define COLUMN_LEFT  (COLUMNS - 1)

static struct winsize terminal_size(void)
{
    struct winsize size = {0};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_row == 0)
        size.ws_row = ROWS_DEFAULT;
    if (size.ws_col == 0)
        size.ws_col = 80;
    return size;
}

/* Of an agent that does not capture its text says more than numbers. */
static bool shows_numbers(const json_t *agent)
{
    int phase = order_phase(agent);
    return phase == PHASE_RUNNING || phase == PHASE_STOPPED;
}

static void put_cell(struct buffer *line, size_t column, int width, const char *text)
{
    const char *space = line->len ? "  " : "";
    if (width == 0)
        return;
    if (columns[column].width < 0)
        buffer_printf(line, "%s%-*s", space, width, text);
    else
        buffer_printf(line, "%s%*s", space, width, text);
}

static void put_row(const json_t *agent, const int widths[COLUMNS], struct buffer *line)
{
    char text[CELL_MAX];
    size_t last = shows_numbers(agent) ? COLUMN_LEFT : COLUMN_ON;
    for (size_t c = 0; c < last; c++) {
        columns[c].put(agent, text);
        put_cell(line, c, widths[c], text);
    }
    if (order_phase(agent) != PHASE_RUNNING)
        buffer_printf(line, "  %s", order_text(agent, "text"));
    else {
        columns[last].put(agent, text);
        put_cell(line, last, widths[last], text);
    }
}

static void put_titles(const int widths[COLUMNS], struct buffer *line)
{
    for (size_t c = 0; c < COLUMNS; c++)
        put_cell(line, c, widths[c], columns[c].title);
}

static void measure(const json_t *order, int widths[COLUMNS])
{
    char text[CELL_MAX];
    size_t i;
    json_t *a;
    for (size_t c = 0; c < COLUMNS; c++)
        widths[c] = abs(columns[c].width);
    json_array_foreach(json_object_get(order, "agents"), i, a)
    {
        for (size_t c = 0; c < COLUMN_LEFT; c++) {
            columns[c].put(a, text);
            int width = (int)strlen(text);
            if ((c < COLUMN_ON || shows_numbers(a)) && width > widths[c])
                widths[c] = width;
        }
    }
    if (terminal_size().ws_col < RATE_WIDTH)
        widths[COLUMN_RATE] = 0;
}

/* "all 3: 2 running, 1 pending; 1204 packets, 1.1M, 0 dropped" */
static void put_sums(const json_t *order, size_t left_out, struct buffer *line)
{
    char packets[40], bytes[40], rate[40], drops[40];
    bool first = true;
    if (left_out)
        buffer_printf(line, "and %zu more; ", left_out);
    buffer_printf(line, "all %zu: ", json_array_size(json_object_get(order, "agents")));
    for (int phase = PHASE_PENDING; phase <= PHASE_MISSED; phase++) {
        size_t n = order_count(order, phase);
        if (n)
            buffer_printf(line, "%s%zu %s", first ? "" : ", ", n, capture_phase_name(phase));
        first = first && n == 0;
    }
    buffer_printf(line, "; %s packets, %s, %s/s, %s dropped",
                  units_format(UNIT_COUNT, order_number(order, "packets"), packets, sizeof packets),
                  units_format(UNIT_BYTES, order_number(order, "bytes"), bytes, sizeof bytes),
                  units_format(UNIT_BYTES, order_number(order, "bytes_per_s"), rate, sizeof rate),
                  units_format(UNIT_COUNT, order_drops(order), drops, sizeof drops));
}

/* ------------------------------------------------------------------ a terminal */

/* Bytes of the text's first `columns` characters. */
static size_t fitting(const char *text, size_t most)
{
    size_t i = 0, n = 0;
    for (; text[i]; i++) {
        n += ((unsigned char)text[i] & 0xc0) != 0x80;
        if (n > most)
            break;
    }
    return i;
}

/* One line of the terminal, which is never wider: else it could not be drawn again in place. */
static void draw_line(struct order_live *l, struct buffer *line)
{
    struct error text = ERROR_INIT; /* makes it printable */
    buffer_u8(line, 0);
    if (!line->failed) {
        (void)error_set(&text, ERROR_NONE, "%s", (const char *)line->data);
        text.text[strcspn(text.text, "\n")] = 0;
        size_t most = terminal_size().ws_col - 1u, len = fitting(text.text, most);
        bool cut = text.text[len];
        fprintf(stderr, "%.*s%s\033[K\n", (int)(cut ? fitting(text.text, most - 1) : len), text.text,
                cut ? grid_mark() : "");
        l->drawn++;
    }
    buffer_clear(line);
}

/* Agents that there is no room for: those that just run go first. */
static bool has_room(const json_t *agent, size_t *quiet, size_t *trouble)
{
    bool runs = order_phase(agent) == PHASE_RUNNING && order_drops(agent) == 0;
    size_t *left = runs ? quiet : trouble;
    if (*left == 0)
        return false;
    --*left;
    return true;
}

static size_t count_trouble(const json_t *agents)
{
    size_t i, n = 0;
    json_t *a;
    json_array_foreach(agents, i, a) n += order_phase(a) != PHASE_RUNNING || order_drops(a) > 0;
    return n;
}

static void draw_agents(struct order_live *l, const int widths[COLUMNS], struct buffer *line)
{
    const json_t *agents = json_object_get(l->order, "agents");
    size_t i, rows = terminal_size().ws_row, left_out = 0;
    size_t room = rows > AROUND + 1 ? rows - AROUND : 1, trouble = count_trouble(agents);
    trouble = trouble < room ? trouble : room;
    size_t quiet = room - trouble;
    json_t *a;
    json_array_foreach(agents, i, a)
    {
        if (has_room(a, &quiet, &trouble)) {
            put_row(a, widths, line);
            draw_line(l, line);
        } else
            left_out++;
    }
    if (left_out || json_array_size(agents) > 1) {
        put_sums(l->order, left_out, line);
        draw_line(l, line);
    }
}

static void erase(struct order_live *l)
{
    if (l->drawn)
        fprintf(stderr, "\033[%uA\r\033[J", l->drawn);
    l->drawn = 0;
}

static void draw(struct order_live *l)
{
    struct buffer line = {.limit = 4096};
    int widths[COLUMNS];
    if (!l->terminal || !l->order)
        return;
    if (l->drawn)
        fprintf(stderr, "\033[%uA\r", l->drawn);
    l->drawn = 0;
    measure(l->order, widths);
    put_titles(widths, &line);
    draw_line(l, &line);
    draw_agents(l, widths, &line);
    if (l->below) {
        buffer_printf(&line, "%s", l->below);
        draw_line(l, &line);
    }
    fputs("\033[J", stderr);
    fflush(stderr);
    buffer_free(&line);
}

/* ------------------------------------------------------------------ no terminal */

static void put_state(const json_t *a, char *buf, size_t len)
{
    char words[256], packets[40], bytes[40], drops[40];
    int phase = order_phase(a);
    order_words(a, "interfaces", words, sizeof words);
    const char *text = order_text(a, "text");
    if (phase == PHASE_RUNNING)
        snprintf(buf, len, "running on %s%s%s", words[0] ? words : "no interface", *text ? ": " : "", text);
    else if (phase == PHASE_STOPPED)
        snprintf(buf, len, "stopped: %s; %s packets, %s, %s dropped", text,
                 units_format(UNIT_COUNT, order_number(a, "packets"), packets, sizeof packets),
                 units_format(UNIT_BYTES, order_number(a, "bytes"), bytes, sizeof bytes),
                 units_format(UNIT_COUNT, order_drops(a), drops, sizeof drops));
    else
        snprintf(buf, len, "%s%s%s", order_text(a, "phase"), *text ? ": " : "", text);
}

static void say_changes(struct order_live *l)
{
    char state[ERROR_TEXT_MAX];
    size_t i;
    json_t *a;
    json_array_foreach(json_object_get(l->order, "agents"), i, a)
    {
        const char *agent = order_text(a, "agent");
        if (order_phase(a) == PHASE_PENDING && !*order_text(a, "text")) /* it is on its way */
            continue;
        put_state(a, state, sizeof state);
        if (strcmp(order_text(l->said, agent), state) == 0)
            continue;
        note(l->cli, "%s: %s", agent, state);
        (void)json_object_set_new_nocheck(l->said, agent, json_string_nocheck(state));
    }
}

/* ------------------------------------------------------------------ both */

int order_live_new(const struct cli *cli, struct order_live **out, struct error *e)
{
    struct order_live *l = calloc(1, sizeof *l);
    if (!l || !(l->said = json_object())) {
        free(l);
        return error_set(e, ERROR_MEMORY, "no memory for a table");
    }
    l->cli = cli;
    l->terminal = isatty(STDERR_FILENO) && !cli->quiet;
    *out = l;
    return 0;
}

void order_live_free(struct order_live *l)
{
    if (!l)
        return;
    json_decref(l->said);
    json_decref(l->order);
    free(l->below);
    free(l);
}

void order_live_show(struct order_live *l, const json_t *order)
{
    json_decref(l->order);
    l->order = json_incref((json_t *)(uintptr_t)order);
    if (l->terminal)
        draw(l);
    else if (!l->cli->quiet)
        say_changes(l);
}

void order_live_below(struct order_live *l, const char *text)
{
    free(l->below);
    l->below = text ? strdup(text) : NULL;
    draw(l);
}

void order_live_note(struct order_live *l, const char *fmt, ...)
{
    char text[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    erase(l);
    note(l->cli, "%s", text);
    draw(l);
}
