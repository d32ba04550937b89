/*
 * rmi-replay: run call scripts against the RMM model
 *
 * Purpose: read a file in the format of tests/data/README.md, do what each
 * line says to a freshly booted RMM, and compare.  Prints each case that
 * fails with its step, then how often the model chose either side where the
 * script says that the recorded RMM and the published text differ, and as
 * the last line `N passed, M failed`.  Exit status 1 if any failed, 2 if the
 * file cannot be used.
 *
 * Patterns behind the file name (as for g_pattern_match) leave cases out.
 *
 * A case ends at its first failure, since nothing is known of the state then.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>
#include "replay-machine.h"
#include "rmm-abi.h"

#define PAGE RMM_GRANULE_SIZE

typedef struct Replay {
    Machine *m;
    GHashTable *names;          /* granule name -> address of its uint64_t */
    char *name;                 /* of the case */
    bool over;                  /* failed, or nothing left to compare */
    char *why;                  /* the first mismatch of a line, or NULL */
    unsigned passed, failed;
    unsigned as_recorded, as_text;      /* divergences */
    char **leave_out;           /* patterns, up to NULL */
    unsigned left_out;
} Replay;

/* ---- values ---- */

/* The line does not say what was seen: remember it, if it is the first. */
static void G_GNUC_PRINTF(2, 3) mismatch(Replay *r, const char *format, ...)
{
    va_list args;

    if (r->why) {
        return;
    }
    va_start(args, format);
    r->why = g_strdup_vprintf(format, args);
    va_end(args);
}

static const char *get_string(JsonObject *o, const char *member)
{
    return json_object_get_string_member_with_default(o, member, NULL);
}

static bool get_bool(JsonObject *o, const char *member)
{
    return json_object_get_boolean_member_with_default(o, member, false);
}

static JsonObject *get_object(JsonObject *o, const char *member)
{
    JsonNode *node = json_object_get_member(o, member);

    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node)
                                                : NULL;
}

/* "0x...", "NAME" or "NAME+0x..." */
static uint64_t value_of(Replay *r, const char *text)
{
    g_auto(GStrv) part = NULL;
    uint64_t *base;

    if (!text) {
        mismatch(r, "the script has something else where a value belongs");
        return 0;
    }
    if (g_str_has_prefix(text, "0x")) {
        return g_ascii_strtoull(text, NULL, 16);
    }
    part = g_strsplit(text, "+", 2);
    base = g_hash_table_lookup(r->names, part[0]);
    if (!base) {
        mismatch(r, "the script does not define %s", part[0]);
        return 0;
    }
    return *base + (part[1] ? g_ascii_strtoull(part[1], NULL, 16) : 0);
}

static uint64_t get_value(Replay *r, JsonObject *o, const char *member)
{
    const char *text = get_string(o, member);

    return text ? value_of(r, text) : 0;
}

/* A number, or a string as above. */
static uint64_t get_length(Replay *r, JsonObject *o, const char *member)
{
    JsonNode *node = json_object_get_member(o, member);

    if (!node) {
        return 0;
    }
    return json_node_get_value_type(node) == G_TYPE_STRING
           ? value_of(r, json_node_get_string(node))
           : (uint64_t)json_node_get_int(node);
}

static GByteArray *bytes_of(const char *hex)
{
    GByteArray *bytes = g_byte_array_new();

    for (; hex && g_ascii_isxdigit(hex[0]) && g_ascii_isxdigit(hex[1]);
         hex += 2) {
        uint8_t byte = g_ascii_xdigit_value(hex[0]) << 4 |
                       g_ascii_xdigit_value(hex[1]);

        g_byte_array_append(bytes, &byte, 1);
    }
    return bytes;
}

/* What a member of kind "bytes", "words" or "fill" stands for. */
static GByteArray *contents(Replay *r, JsonObject *o)
{
    JsonArray *words;
    GByteArray *bytes;
    unsigned i;

    if (json_object_has_member(o, "bytes")) {
        return bytes_of(get_string(o, "bytes"));
    }
    bytes = g_byte_array_new();
    if (json_object_has_member(o, "fill")) {
        uint64_t len = MIN(get_length(r, o, "len"), PAGE);

        g_byte_array_set_size(bytes, len);
        memset(bytes->data, g_ascii_strtoull(get_string(o, "fill"), NULL, 16),
               len);
        return bytes;
    }
    words = json_object_get_array_member(o, "words");
    for (i = 0; i < json_array_get_length(words); i++) {
        uint64_t word = value_of(r, json_array_get_string_element(words, i));

        g_byte_array_append(bytes, (const uint8_t *)&word, sizeof(word));
    }
    return bytes;
}

/* ---- registers ---- */

/* "x0" to "x30": the register; -1 for anything else. */
static int register_of(const char *name)
{
    char *end;
    uint64_t n;

    if (name[0] != 'x' || !g_ascii_isdigit(name[1])) {
        return -1;
    }
    n = g_ascii_strtoull(name + 1, &end, 10);
    return *end || n > 30 ? -1 : (int)n;
}

/* X0 as an RMI result word, or as it is. */
static void expect_x0(Replay *r, JsonObject *want)
{
    uint64_t x0 = r->m->pe.x[0];
    uint64_t expected;

    if (!want) {
        mismatch(r, "the script does not expect X0");
        return;
    }
    if (json_object_has_member(want, "value")) {
        expected = get_value(r, want, "value");
    } else {
        expected = RMI_RESULT(json_object_get_int_member(want, "status"),
                              json_object_get_int_member(want, "index") &
                              0xff);
        x0 &= 0xffff;
    }
    if (x0 != expected) {
        mismatch(r, "X0 is 0x%" PRIx64 ", not 0x%" PRIx64, x0, expected);
    }
}

static void expect_sysreg(Replay *r, JsonObject *want, const char *name,
                          uint64_t seen)
{
    uint64_t expected = get_value(r, want, name);

    if (json_object_has_member(want, name) && seen != expected) {
        mismatch(r, "%s is 0x%" PRIx64 ", not 0x%" PRIx64, name, seen,
                 expected);
    }
}

static void expect_sysregs(Replay *r, JsonObject *want)
{
    expect_sysreg(r, want, "ESR_EL1", r->m->esr_el1);
    expect_sysreg(r, want, "FAR_EL1", r->m->far_el1);
    expect_sysreg(r, want, "ELR_EL1", r->m->elr_el1);
    expect_sysreg(r, want, "SPSR_EL1", r->m->spsr_el1);
}

/* Every register that @want names. */
static void expect_registers(Replay *r, JsonObject *want)
{
    JsonObjectIter iter;
    const char *name;
    JsonNode *node;

    if (!want) {
        mismatch(r, "the script expects nothing");
        return;
    }
    json_object_iter_init(&iter, want);
    while (json_object_iter_next(&iter, &name, &node)) {
        int n = register_of(name);
        uint64_t seen, expected;

        if (JSON_NODE_HOLDS_OBJECT(node)) {
            if (n == 0) {
                expect_x0(r, json_node_get_object(node));
            } else {
                expect_sysregs(r, json_node_get_object(node));
            }
            continue;
        }
        if (n < 0 && strcmp(name, "pc")) {
            continue;
        }
        seen = n < 0 ? r->m->pe.pc : r->m->pe.x[n];
        expected = value_of(r, json_node_get_string(node));
        if (seen != expected) {
            mismatch(r, "%s is 0x%" PRIx64 ", not 0x%" PRIx64, name, seen,
                     expected);
        }
    }
}

static void expect_world(Replay *r, RmmWorld world)
{
    if (r->m->pe.world != world) {
        mismatch(r, world == RMM_WORLD_REALM
                 ? "the Realm does not run (X0 is 0x%" PRIx64 ")"
                 : "the Realm did not exit (X0 is 0x%" PRIx64 ")",
                 r->m->pe.x[0]);
    }
}

/* ---- lines ---- */

static void load_arguments(Replay *r, JsonObject *line)
{
    JsonArray *x = json_object_get_array_member(line, "x");
    unsigned i;

    if (r->m->pe.world == RMM_WORLD_HOST) {
        memset(r->m->pe.x, 0, sizeof(r->m->pe.x));
    }
    r->m->pe.x[0] = get_value(r, line, "fid");
    for (i = 0; i < json_array_get_length(x) && i < 30; i++) {
        r->m->pe.x[i + 1] = value_of(r, json_array_get_string_element(x, i));
    }
}

/* One of the answers that the text does not order. */
static bool is_accepted(Replay *r, JsonObject *line)
{
    JsonArray *accept;
    unsigned i;

    if (!json_object_has_member(line, "accept")) {
        return false;
    }
    accept = json_object_get_array_member(line, "accept");
    for (i = 0; i < json_array_get_length(accept); i++) {
        JsonArray *pair = json_array_get_array_element(accept, i);

        if ((r->m->pe.x[0] & 0xffff) ==
            RMI_RESULT(json_array_get_int_element(pair, 0),
                       json_array_get_int_element(pair, 1) & 0xff)) {
            return true;
        }
    }
    return false;
}

static void check_rim(Replay *r, JsonObject *line, uint64_t rd)
{
    const char *hex = get_string(line, "rim");
    uint8_t rim[64] = { 0 };
    GByteArray *want;

    if (!hex) {
        return;
    }
    want = bytes_of(hex);
    if (!rmm_realm_rim(r->m->rmm, rd, rim) || want->len != sizeof(rim) ||
        memcmp(rim, want->data, sizeof(rim))) {
        mismatch(r, "another RIM");
    }
    g_byte_array_unref(want);
}

/* The same call again and again; every one must give X0 of the line. */
static void run_repeat(Replay *r, JsonObject *line, JsonObject *repeat)
{
    JsonObject *stride = get_object(repeat, "stride");
    JsonObject *expect = get_object(line, "expect");
    JsonObject *want = expect ? get_object(expect, "x0") : NULL;
    uint64_t i, count = get_length(r, repeat, "count");
    unsigned n;

    for (i = 0; i < count && !r->why; i++) {
        load_arguments(r, line);
        for (n = 1; n <= 8 && stride; n++) {
            char name[4];

            snprintf(name, sizeof(name), "x%u", n);
            r->m->pe.x[n] += i * get_value(r, stride, name);
        }
        machine_smc(r->m);
        expect_x0(r, want);
    }
}

static void host_call(Replay *r, JsonObject *line)
{
    JsonObject *repeat = get_object(line, "repeat");
    uint64_t rd;

    load_arguments(r, line);
    rd = r->m->pe.x[1];
    if (repeat) {
        run_repeat(r, line, repeat);
    } else {
        machine_smc(r->m);
        if (get_bool(line, "enters")) {
            expect_world(r, RMM_WORLD_REALM);
        } else if (!is_accepted(r, line)) {
            expect_world(r, RMM_WORLD_HOST);
            expect_registers(r, get_object(line, "expect"));
        }
    }
    check_rim(r, line, rd);
}

static void realm_call(Replay *r, JsonObject *line)
{
    if (r->m->pe.world != RMM_WORLD_REALM) {
        mismatch(r, "no Realm runs");
        return;
    }
    load_arguments(r, line);
    machine_smc(r->m);
    if (get_bool(line, "exits")) {
        expect_world(r, RMM_WORLD_HOST);
    } else {
        expect_world(r, RMM_WORLD_REALM);
        if (get_object(line, "expect")) {
            expect_registers(r, get_object(line, "expect"));
        }
    }
}

static void run_call(Replay *r, JsonObject *line)
{
    if (!g_strcmp0(get_string(line, "world"), "host")) {
        host_call(r, line);
    } else {
        realm_call(r, line);
    }
}

static void run_resume(Replay *r, JsonObject *line)
{
    expect_world(r, RMM_WORLD_REALM);
    expect_registers(r, get_object(line, "expect"));
}

/* What the Realm had put into its registers before. */
static void load_registers(Replay *r, JsonObject *line)
{
    JsonObject *regs = get_object(line, "regs");
    JsonObject *sysregs = get_object(line, "sysregs");
    int n;

    for (n = 0; n <= 30 && regs; n++) {
        char name[4];

        snprintf(name, sizeof(name), "x%d", n);
        if (json_object_has_member(regs, name)) {
            r->m->pe.x[n] = get_value(r, regs, name);
        }
    }
    if (sysregs && json_object_has_member(sysregs, "VBAR_EL1")) {
        r->m->vbar_el1 = get_value(r, sysregs, "VBAR_EL1");
    }
}

static void run_exception(Replay *r, JsonObject *line)
{
    const char *kind = get_string(line, "exception");
    RmmSyndrome syndrome = {
        .kind = !g_strcmp0(kind, "irq") ? RMM_EXCEPTION_IRQ
              : !g_strcmp0(kind, "fiq") ? RMM_EXCEPTION_FIQ
                                        : RMM_EXCEPTION_SYNC,
        .esr = get_value(r, line, "esr"),
        .far = get_value(r, line, "far"),
        .hpfar = get_value(r, line, "hpfar"),
    };

    if (r->m->pe.world != RMM_WORLD_REALM) {
        mismatch(r, "no Realm runs");
        return;
    }
    load_registers(r, line);
    machine_exception(r->m, &syndrome);
    expect_world(r, get_bool(line, "exits") ? RMM_WORLD_HOST
                                            : RMM_WORLD_REALM);
}

static void run_env(Replay *r, JsonObject *line)
{
    r->m->irq_pending = get_bool(line, "irq_pending");
}

/* The fields of the exit record that scripts name; gprs and LRs by index. */
static const struct {
    const char *name;
    unsigned offset;
    bool live;                  /* a GIC, a timer or a PMU decides */
} exit_fields[] = {
    { "reason", 0x0 }, { "esr", 0x100 }, { "far", 0x108 },
    { "hpfar", 0x110 }, { "gprs", 0x200 }, { "gicv3_hcr", 0x300, true },
    { "gicv3_lrs", 0x308, true }, { "gicv3_misr", 0x388, true },
    { "gicv3_vmcr", 0x390, true }, { "cntp_ctl", 0x400, true },
    { "cntp_cval", 0x408, true }, { "cntv_ctl", 0x410, true },
    { "cntv_cval", 0x418, true }, { "ripas_base", 0x500 },
    { "ripas_top", 0x508 }, { "ripas_value", 0x510 }, { "imm", 0x600 },
    { "pmu_ovf_status", 0x700, true },
};

/* Take what "NAME" or "NAME[I]" says out of @record, so that zero is left. */
static void expect_exit_field(Replay *r, uint64_t *record, const char *name,
                              uint64_t expected)
{
    size_t len = strcspn(name, "[");
    uint64_t i = name[len] ? g_ascii_strtoull(name + len + 1, NULL, 10) : 0;
    unsigned n;

    for (n = 0; n < G_N_ELEMENTS(exit_fields); n++) {
        uint64_t *field = &record[exit_fields[n].offset / 8 + i];

        if (strlen(exit_fields[n].name) != len || i > 31 ||
            strncmp(exit_fields[n].name, name, len)) {
            continue;
        }
        if (*field != expected && !exit_fields[n].live) {
            mismatch(r, "exit.%s is 0x%" PRIx64 ", not 0x%" PRIx64, name,
                     *field, expected);
        }
        *field = 0;
        return;
    }
    mismatch(r, "exit.%s is not a field", name);
}

static void expect_exit(Replay *r, JsonObject *want, const void *exit)
{
    uint64_t record[0x800 / 8];
    JsonObjectIter iter;
    const char *name;
    JsonNode *node;
    unsigned i;

    if (!want) {
        mismatch(r, "the script has no exit record");
        return;
    }
    memcpy(record, exit, sizeof(record));
    json_object_iter_init(&iter, want);
    while (json_object_iter_next(&iter, &name, &node)) {
        uint64_t expected = json_node_get_value_type(node) == G_TYPE_STRING
                            ? value_of(r, json_node_get_string(node))
                            : (uint64_t)json_node_get_int(node);

        expect_exit_field(r, record, name, expected);
    }
    for (i = 0; i < G_N_ELEMENTS(record); i++) {
        if (record[i]) {
            mismatch(r, "exit record at 0x%x is 0x%" PRIx64 ", not zero",
                     i * 8, record[i]);
        }
    }
}

static void compare_exit(Replay *r, JsonObject *line, JsonObject *want)
{
    const uint8_t *run = machine_memory(r->m, get_value(r, line, "run"),
                                        PAGE);

    expect_world(r, RMM_WORLD_HOST);
    expect_registers(r, get_object(line, "expect"));
    if (run) {
        expect_exit(r, want, run + offsetof(RmiRecRun, exit));
    } else {
        mismatch(r, "no such run page");
    }
}

static void run_exit(Replay *r, JsonObject *line)
{
    compare_exit(r, line, get_object(line, "exit"));
}

/* The page that a poke or a peek means. */
static uint8_t *page_of(Replay *r, JsonObject *line, const char *member)
{
    uint8_t *page;

    if (!g_strcmp0(get_string(line, "world"), "realm")) {
        page = machine_realm_memory(r->m, get_value(r, line, "rec"),
                                    get_value(r, line, "ipa"),
                                    member[1] == 'o');
    } else {
        page = machine_memory(r->m, get_value(r, line, member), PAGE);
    }
    if (!page) {
        mismatch(r, "no such page");
    }
    return page;
}

static void write_one(Replay *r, JsonObject *o, uint8_t *page)
{
    uint64_t offset = get_value(r, o, "offset");
    GByteArray *bytes = contents(r, o);

    if (offset <= PAGE && bytes->len <= PAGE - offset) {
        memcpy(page + offset, bytes->data, bytes->len);
    } else {
        mismatch(r, "a poke beyond the page");
    }
    g_byte_array_unref(bytes);
}

static void run_poke(Replay *r, JsonObject *line)
{
    uint8_t *page = page_of(r, line, "poke");
    JsonArray *writes;
    unsigned i;

    if (!page) {
        return;
    }
    if (get_bool(line, "zero_page")) {
        memset(page, 0, PAGE);
    }
    if (!json_object_has_member(line, "writes")) {
        if (json_object_has_member(line, "offset")) {
            write_one(r, line, page);
        }
        return;
    }
    writes = json_object_get_array_member(line, "writes");
    for (i = 0; i < json_array_get_length(writes); i++) {
        write_one(r, json_array_get_object_element(writes, i), page);
    }
}

static void run_peek(Replay *r, JsonObject *line)
{
    const uint8_t *page = page_of(r, line, "peek");
    uint64_t i, offset = get_value(r, line, "offset");
    const char *fill = get_string(line, "expect_fill");
    GByteArray *want;

    if (!page) {
        return;
    }
    if (fill) {
        want = g_byte_array_new();
        g_byte_array_set_size(want, MIN(get_length(r, line, "len"), PAGE));
        memset(want->data, g_ascii_strtoull(fill, NULL, 16), want->len);
    } else {
        want = bytes_of(get_string(line, "expect_bytes"));
    }
    for (i = 0; i < want->len && offset + i < PAGE; i++) {
        if (page[offset + i] != want->data[i]) {
            mismatch(r, "byte 0x%" PRIx64 " is 0x%02x, not 0x%02x",
                     offset + i, page[offset + i], want->data[i]);
        }
    }
    g_byte_array_unref(want);
}

/* ---- divergences ---- */

/*
 * The line says that the text has another answer: is it what was seen?
 * Where there is no definite value, anything but the recorded one is.
 */
static bool follows_text(Replay *r, JsonObject *line)
{
    JsonObject *spec = get_object(line, "spec_expect");
    char *recorded = g_steal_pointer(&r->why);
    bool follows;

    if (spec) {
        JsonObject *exit = get_object(spec, "exit");

        if (exit) {
            compare_exit(r, line, exit);
        } else {
            expect_registers(r, spec);
        }
        if (json_object_has_member(spec, "exits")) {
            expect_world(r, get_bool(spec, "exits") ? RMM_WORLD_HOST
                                                    : RMM_WORLD_REALM);
        }
    }
    follows = !r->why;
    g_free(r->why);
    r->why = recorded;
    return follows;
}

static void judge_divergence(Replay *r, JsonObject *line)
{
    if (!r->why) {
        r->as_recorded++;
    } else if (follows_text(r, line)) {
        r->as_text++;
        r->over = get_bool(line, "spec_stops_case");
        g_clear_pointer(&r->why, g_free);
    }
}

/* ---- cases and the file ---- */

static void name_granule(Replay *r, const char *name, uint64_t pa)
{
    g_hash_table_replace(r->names, g_strdup(name),
                         g_memdup2(&pa, sizeof(pa)));
}

static void place_granules(Replay *r, JsonObject *header)
{
    JsonArray *list = json_object_get_array_member(header, "granules");
    uint64_t next = MACHINE_BASE, outside = MACHINE_BASE / 2;
    unsigned i;

    for (i = 0; i < json_array_get_length(list); i++) {
        JsonObject *g = json_array_get_object_element(list, i);
        uint64_t align = MAX(get_length(r, g, "align"), PAGE);

        next = (next + align - 1) / align * align;
        name_granule(r, get_string(g, "name"), next);
        next += MAX(get_length(r, g, "count"), 1) * PAGE;
    }
    if (next > MACHINE_BASE + (uint64_t)MACHINE_GRANULES * PAGE) {
        mismatch(r, "more granules than the machine has");
    }
    if (!json_object_has_member(header, "outside")) {
        return;
    }
    list = json_object_get_array_member(header, "outside");
    for (i = 0; i < json_array_get_length(list); i++, outside += PAGE) {
        name_granule(r, json_array_get_string_element(list, i), outside);
    }
}

static void end_case(Replay *r)
{
    if (r->m) {
        r->passed++;
        machine_free(r->m);
        r->m = NULL;
    }
}

static void fail_case(Replay *r, JsonObject *line)
{
    printf("FAIL %s step %" PRId64 ": %s\n", r->name,
           json_object_get_int_member_with_default(line, "step", 0), r->why);
    g_clear_pointer(&r->why, g_free);
    r->failed++;
    r->over = true;
    if (r->m) {
        machine_free(r->m);
        r->m = NULL;
    }
}

static bool is_left_out(const Replay *r)
{
    unsigned i;

    for (i = 0; r->leave_out[i]; i++) {
        if (g_pattern_match_simple(r->leave_out[i], r->name)) {
            return true;
        }
    }
    return false;
}

static void begin_case(Replay *r, JsonObject *header)
{
    end_case(r);
    g_free(r->name);
    r->name = g_strdup(get_string(header, "case") ?: "(no name)");
    r->over = is_left_out(r);
    if (r->over) {
        r->left_out++;
        return;
    }
    r->m = machine_new(get_string(header, "profile") ?: "");
    g_hash_table_remove_all(r->names);
    if (!r->m) {
        mismatch(r, "no such profile");
        return;
    }
    place_granules(r, header);
}

static const struct {
    const char *kind;
    void (*run)(Replay *r, JsonObject *line);
} kinds[] = {
    { "call", run_call }, { "resume", run_resume },
    { "exception", run_exception }, { "exit", run_exit },
    { "poke", run_poke }, { "peek", run_peek }, { "env", run_env },
};

static void run_line(Replay *r, JsonObject *line)
{
    const char *kind = get_string(line, "kind");
    unsigned i;

    if (!g_strcmp0(kind, "case")) {
        begin_case(r, line);
    }
    for (i = 0; i < G_N_ELEMENTS(kinds) && !r->over; i++) {
        if (!g_strcmp0(kind, kinds[i].kind)) {
            kinds[i].run(r, line);
        }
    }
    if (json_object_has_member(line, "divergence") && !r->over) {
        judge_divergence(r, line);
    }
    if (r->why) {
        fail_case(r, line);
    }
}

/* False if a line is not an object. */
static bool run_file(Replay *r, const char *path)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) err = NULL;
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    unsigned i;

    if (!g_file_get_contents(path, &text, NULL, &err)) {
        fprintf(stderr, "%s\n", err->message);
        return false;
    }
    lines = g_strsplit(text, "\n", -1);
    for (i = 0; lines[i]; i++) {
        JsonNode *root;

        if (!lines[i][0]) {
            continue;
        }
        root = json_parser_load_from_data(parser, lines[i], -1, &err)
               ? json_parser_get_root(parser) : NULL;
        if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
            fprintf(stderr, "%s: line %u is not an object\n", path, i + 1);
            return false;
        }
        run_line(r, json_node_get_object(root));
    }
    end_case(r);
    return true;
}

int main(int argc, char **argv)
{
    Replay r = { .over = true };
    bool usable;

    if (argc < 2) {
        fprintf(stderr, "usage: rmi-replay FILE.jsonl [LEAVE-OUT]...\n");
        return 2;
    }
    r.leave_out = argv + 2;
    r.names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    usable = run_file(&r, argv[1]);
    g_hash_table_destroy(r.names);
    g_free(r.name);
    if (!usable) {
        return 2;
    }
    printf("divergences: %u as recorded, %u as the text\n", r.as_recorded,
           r.as_text);
    if (r.left_out) {
        printf("%u left out\n", r.left_out);
    }
    printf("%u passed, %u failed\n", r.passed, r.failed);
    return r.failed ? 1 : 0;
}
