/*
 * A machine whose guest is the host of Realms: what is seen of a Realm from
 * outside, what a reset leaves, and what such a machine cannot do
 *
 * How: a servant at EL2 makes a Realm with a secret (rmm-servant.h), and this
 * test looks for it in all ways that QEMU has: monitor, dump, gdb.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/socket.h>
#include <sys/un.h>
#include "qobject/qlist.h"
#include "rmm-servant.h"

#define RAM_BASE    0x40000000
#define RAM_SIZE    (64 * 1024 * 1024)
/* Where private memory is in the CPUs' own address space (el2/memory.h). */
#define PRIVATE     (BIT_ULL(56) + REALM_MEMORY)

#define HIDDEN      "the registers of a Realm are not available"

static char *hmp(Servant *s, const char *command)
{
    return qtest_hmp(s->qts, "%s", command);
}

static bool hmp_says(Servant *s, const char *command, const char *text)
{
    g_autofree char *answer = hmp(s, command);

    return strstr(answer, text);
}

static bool in_realm(Servant *s)
{
    return hmp_says(s, "info registers", HIDDEN);
}

/* The servant begins to enter it, and stays inside. */
static void enter_to_stay(Servant *s)
{
    gint64 end = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND;

    rmm_enter_realm(s);
    while (!in_realm(s)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    }
}

/* Start a Realm and wait until it loops: it has its secret then. */
static void start_secret(Servant *s, const char *args)
{
    rmm_start(s, args);
    rmm_make_realm(s);
    enter_to_stay(s);
    g_usleep(100 * 1000);       /* nine instructions */
}

/* What the host finds in the run page. */
#define RUN_EXIT(field) (HOST_RUN + offsetof(RmiRecRun, exit.field))

static unsigned exit_reason(Servant *s)
{
    return qtest_readq(s->qts, RUN_EXIT(exit_reason));
}

static bool file_has(const char *path, uint64_t value)
{
    g_autofree char *contents = NULL;
    uint64_t bytes = cpu_to_le64(value);
    gsize size;

    g_assert_true(g_file_get_contents(path, &contents, &size, NULL));
    return memmem(contents, size, &bytes, sizeof(bytes));
}

static char *temporary_file(void)
{
    char *path = NULL;
    int fd = g_file_open_tmp("rmm-host-XXXXXX", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    return path;
}

/* ---- Monitor ---- */

static void test_registers(void)
{
    Servant s;

    rmm_start(&s, "");
    g_assert_true(hmp_says(&s, "info registers", "EL2h"));
    servant_quit(&s);
    start_secret(&s, "");
    g_assert_false(hmp_says(&s, "info registers", "PC="));
    servant_quit(&s);
}

static void test_monitor_memory(void)
{
    g_autofree char *private = g_strdup_printf("xp /1gx 0x%llx", PRIVATE);
    Servant s;

    rmm_start(&s, "");
    g_assert_true(hmp_says(&s, "x /1wx 0x40080000", "0x10000000"));
    servant_quit(&s);
    start_secret(&s, "");
    g_assert_true(hmp_says(&s, "x /1gx 0", "Cannot access memory"));
    g_assert_true(hmp_says(&s, "gva2gpa 0", "Unmapped"));
    g_assert_true(hmp_says(&s, private, "Cannot access memory"));
    g_assert_true(hmp_says(&s, "xp /1gx 0x42006000", "0x0000000000000000"));
    servant_quit(&s);
}

static void test_saved_memory(void)
{
    g_autofree char *path = temporary_file();
    Servant s;

    start_secret(&s, "");
    qtest_qmp_assert_success(s.qts, "{'execute': 'pmemsave', 'arguments': "
                             "{'val': %d, 'size': %d, 'filename': %s}}",
                             RAM_BASE, RAM_SIZE, path);
    g_assert_true(file_has(path, HALF_0));      /* in the parameters */
    g_assert_false(file_has(path, SECRET));
    qobject_unref(qtest_qmp_assert_failure_ref(
        s.qts, "{'execute': 'memsave', 'arguments': "
        "{'val': 0, 'size': 4096, 'filename': %s}}", path));
    servant_quit(&s);
    unlink(path);
}

static void test_dump(void)
{
    g_autofree char *path = temporary_file();
    g_autofree char *url = g_strdup_printf("file:%s", path);
    Servant s;

    start_secret(&s, "");
    qtest_qmp_assert_success(s.qts, "{'execute': 'dump-guest-memory', "
                             "'arguments': {'paging': false, 'protocol': %s}}",
                             url);
    g_assert_true(file_has(path, HALF_0));
    g_assert_false(file_has(path, SECRET));
    servant_quit(&s);
    unlink(path);
}

/* ---- gdb ---- */

typedef struct Gdb {
    int fd;
    char *path;
} Gdb;

static char read_byte(Gdb *gdb)
{
    char c;

    g_assert_cmpint(read(gdb->fd, &c, 1), ==, 1);
    return c;
}

static void send_packet(Gdb *gdb, const char *packet)
{
    g_autofree char *framed = NULL;
    uint8_t sum = 0;

    for (const char *p = packet; *p; p++) {
        sum += *p;
    }
    framed = g_strdup_printf("$%s#%02x", packet, sum);
    g_assert_cmpint(write(gdb->fd, framed, strlen(framed)), ==,
                    strlen(framed));
}

static char *receive_packet(Gdb *gdb)
{
    GString *answer = g_string_new(NULL);
    char c;

    while (read_byte(gdb) != '$') {
    }
    while ((c = read_byte(gdb)) != '#') {
        g_string_append_c(answer, c);
    }
    read_byte(gdb);
    read_byte(gdb);
    g_assert_cmpint(write(gdb->fd, "+", 1), ==, 1);
    return g_string_free(answer, false);
}

static char *gdb_ask(Gdb *gdb, const char *packet)
{
    send_packet(gdb, packet);
    return receive_packet(gdb);
}

static void gdb_expect(Gdb *gdb, const char *packet, const char *answer)
{
    g_autofree char *got = gdb_ask(gdb, packet);

    g_assert_cmpstr(got, ==, answer);
}

/* Starts a Realm with a stub for gdb. */
static void start_gdb(Servant *s, Gdb *gdb,
                      void (*start)(Servant *s, const char *args))
{
    g_autofree char *args = NULL;

    gdb->path = temporary_file();
    unlink(gdb->path);
    args = g_strdup_printf("-gdb unix:%s,server=on,wait=off", gdb->path);
    start(s, args);
}

/* This stops the machine. */
static void attach(Gdb *gdb)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    g_assert_cmpint(strlen(gdb->path), <, sizeof(address.sun_path));
    strcpy(address.sun_path, gdb->path);
    gdb->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    g_assert_cmpint(connect(gdb->fd, (struct sockaddr *)&address,
                            sizeof(address)), ==, 0);
    g_free(gdb_ask(gdb, "?"));
}

static void detach(Gdb *gdb)
{
    gdb_expect(gdb, "D", "OK");
    close(gdb->fd);
    unlink(gdb->path);
    g_free(gdb->path);
}

static bool is_zeros(const char *digits)
{
    return strspn(digits, "0x") == strlen(digits);
}

/* The first register behind the core, V0 or Z0; a function of its own reads it. */
#define GDB_V0 "p22"

static void test_gdb_of_the_host(void)
{
    g_autofree char *registers = NULL;
    g_autofree char *v0 = NULL;
    Servant s;
    Gdb gdb;

    start_gdb(&s, &gdb, rmm_start);
    attach(&gdb);
    registers = gdb_ask(&gdb, "g");
    g_assert_false(is_zeros(registers));
    v0 = gdb_ask(&gdb, GDB_V0);
    g_assert_cmpint(strlen(v0), >=, 32);
    gdb_expect(&gdb, "m40080000,4", "00000010");
    detach(&gdb);
    servant_quit(&s);
}

static void test_gdb_of_a_realm(void)
{
    g_autofree char *registers = NULL;
    Servant s;
    Gdb gdb;

    start_gdb(&s, &gdb, start_secret);
    attach(&gdb);
    registers = gdb_ask(&gdb, "g");
    g_assert_true(is_zeros(registers));
    gdb_expect(&gdb, GDB_V0, "E14");
    gdb_expect(&gdb, "m0,4", "E14");
    gdb_expect(&gdb, "M1000,8:0000000000000000", "E14");
    gdb_expect(&gdb, "Qqemu.PhyMemMode:1", "OK");
    gdb_expect(&gdb, "m100000042006000,8", "0000000000000000");
    gdb_expect(&gdb, "m42006000,8", "0000000000000000");
    gdb_expect(&gdb, "qIsAddressTagged:0", "E04");
    detach(&gdb);
    servant_quit(&s);
}

/* The loop is at one address, where a breakpoint of a guest would hit. */
static void test_breakpoints(void)
{
    g_autofree char *insert = g_strdup_printf("Z0,%x,4",
                                              (unsigned)REALM_LOOP);
    g_autofree char *remove = g_strdup_printf("z0,%x,4",
                                              (unsigned)REALM_LOOP);
    Servant s;
    Gdb gdb;

    start_gdb(&s, &gdb, start_secret);
    attach(&gdb);
    gdb_expect(&gdb, insert, "OK");
    send_packet(&gdb, "c");
    g_usleep(500 * 1000);
    g_assert_true(in_realm(&s));
    g_assert_cmpint(write(gdb.fd, "\x03", 1), ==, 1);
    g_assert_true(g_str_has_prefix(receive_packet(&gdb), "T02"));
    gdb_expect(&gdb, remove, "OK");
    gdb_expect(&gdb, remove, "E22");
    detach(&gdb);
    servant_quit(&s);
}

static void test_breakpoint_of_the_host(void)
{
    Servant s;
    Gdb gdb;

    start_gdb(&s, &gdb, rmm_start);
    attach(&gdb);
    gdb_expect(&gdb, "Z0,40080020,4", "OK");    /* where it waits */
    send_packet(&gdb, "c");
    g_assert_true(g_str_has_prefix(receive_packet(&gdb), "T05"));
    gdb_expect(&gdb, "z0,40080020,4", "OK");
    detach(&gdb);
    servant_quit(&s);
}

/* ---- Reset ---- */

/* Nobody looks at the mailbox meanwhile. */
static void forget_commands(Servant *s)
{
    qtest_writeq(s->qts, MAILBOX + MAIL_READY, 0);
    qtest_writeq(s->qts, MAILBOX + MAIL_NUMBER, 0);
    s->number = 0;
}

static void reset(Servant *s)
{
    qtest_qmp_assert_success(s->qts, "{'execute': 'stop'}");
    forget_commands(s);
    qtest_system_reset(s->qts);
    qtest_qmp_assert_success(s->qts, "{'execute': 'cont'}");
    servant_wait(s, MAILBOX + MAIL_READY, SERVANT_READY);
}

/* The only CPU is in a Realm, and goes on until it is reset. */
static void reset_while_it_runs(Servant *s)
{
    forget_commands(s);
    qtest_system_reset(s->qts);
    servant_wait(s, MAILBOX + MAIL_READY, SERVANT_READY);
}

static void test_reset(void)
{
    Servant s;

    rmm_start(&s, "");
    rmm_make_realm(&s);
    g_assert_cmpuint(rmm_count_delegated(&s), ==, NUM_GRANULES);
    reset(&s);
    g_assert_cmpuint(rmm_count_delegated(&s), ==, 0);
    servant_quit(&s);
}

/* A watchdog's reset is one of a machine that runs, too. */
static void test_reset_in_a_realm(const void *opaque)
{
    void (*do_reset)(Servant *s) = opaque;
    Servant s;

    start_secret(&s, "");
    for (int round = 0; round < 3; round++) {
        do_reset(&s);
        g_assert_false(in_realm(&s));
        g_assert_cmpuint(rmm_count_delegated(&s), ==, 0);
        rmm_make_realm(&s);
        enter_to_stay(&s);
    }
    servant_quit(&s);
}

/* The granule that had the secret is one of a Realm's after the reset. */
static void test_reset_wipes(void)
{
    Servant s;

    start_secret(&s, "");
    reset(&s);
    rmm_make_realm_at(&s, REALM_TELL);
    rmm_enter_realm(&s);
    servant_finish(&s);
    g_assert_cmpuint(exit_reason(&s), ==, RMI_EXIT_HOST_CALL);
    g_assert_cmphex(qtest_readq(s.qts, RUN_EXIT(gprs)), ==, 0);
    servant_quit(&s);
}

/* Where the other CPU begins, with the address of X0 to X2 in X0. */
#define OTHER_CODE      0x41003000
#define OTHER_ARGS      0x41004000

static const uint32_t other_cpu[] = {
    0xaa0003e9,                 /* mov x9, x0 */
    0xf9400120,                 /* ldr x0, [x9] */
    0xa9408921,                 /* ldp x1, x2, [x9, #8] */
    0xd4000003,                 /* smc #0 */
    0x14000000,                 /* b   . */
};

#define CPU_ON          0xc4000003

/* SYSTEM_RESET, after which the servant must not find this command again. */
#define RESET_CODE      0x41005000

static const uint32_t system_reset[] = {
    0xf900027f,                 /* str  xzr, [x19] */
    0xd2800120,                 /* mov  x0, #9 */
    0xf2b08000,                 /* movk x0, #0x8400, lsl #16 */
    0xd4000003,                 /* smc  #0 */
};

static void put_code(Servant *s, uint64_t addr, const uint32_t *code,
                     size_t count)
{
    for (size_t i = 0; i < count; i++) {
        qtest_writel(s->qts, addr + 4 * i, code[i]);
    }
}

static void enter_on_other_cpu(Servant *s)
{
    const uint64_t args[] = {
        cpu_to_le64(RMI_REC_ENTER), cpu_to_le64(REALM_REC),
        cpu_to_le64(HOST_RUN),
    };

    put_code(s, OTHER_CODE, other_cpu, ARRAY_SIZE(other_cpu));
    qtest_memwrite(s->qts, OTHER_ARGS, args, sizeof(args));
    rmi_ok(s, CPU_ON, 1, OTHER_CODE, OTHER_ARGS, 0);
    while (!hmp_says(s, "info registers -a", HIDDEN)) {
        g_usleep(1000);
    }
}

static void test_reset_by_psci(void)
{
    const uint64_t args[5] = { RESET_CODE };
    Servant s;

    rmm_start(&s, "-smp 2");
    rmm_make_realm(&s);
    enter_on_other_cpu(&s);
    qtest_writeq(s.qts, MAILBOX + MAIL_READY, 0);
    put_code(&s, RESET_CODE, system_reset, ARRAY_SIZE(system_reset));
    servant_begin(&s, SERVANT_CALL, args);
    servant_wait(&s, MAILBOX + MAIL_READY, SERVANT_READY);
    s.number = 0;
    g_assert_false(hmp_says(&s, "info registers -a", HIDDEN));
    g_assert_cmpuint(rmm_count_delegated(&s), ==, 0);
    servant_quit(&s);
}

/* ---- What the RMM says ---- */

static QDict *query(Servant *s)
{
    return qtest_qmp_assert_success_ref(s->qts, "{'execute': 'query-rmm'}");
}

static int64_t total(const QDict *info, const char *group, const char *name)
{
    return qdict_get_int(qdict_get_qdict(info, group), name);
}

static QDict *only_entry(const QDict *dict, const char *name)
{
    QList *list = qdict_get_qlist(dict, name);

    g_assert_cmpuint(qlist_size(list), ==, 1);
    return qobject_to(QDict, qlist_entry_obj(qlist_first(list)));
}

static void test_query_without_rmm(void)
{
    QTestState *qts = qtest_init("-machine virt -accel tcg -nodefaults");
    QDict *error = qtest_qmp_assert_failure_ref(qts,
                                                "{'execute': 'query-rmm'}");
    g_autofree char *text = qtest_hmp(qts, "info rmm");

    g_assert_nonnull(strstr(qdict_get_str(error, "desc"),
                            "-machine virt,rmm=on"));
    g_assert_nonnull(strstr(text, "-machine virt,rmm=on"));
    qobject_unref(error);
    qtest_quit(qts);
}

static void test_query_without_realms(void)
{
    QDict *info;
    Servant s;

    rmm_start(&s, "");
    info = query(&s);
    g_assert_true(qlist_empty(qdict_get_qlist(info, "realms")));
    g_assert_cmpint(total(info, "calls", "rmi"), ==, 0);
    qobject_unref(info);
    rmi_ok(&s, RMI_GRANULE_DELEGATE, SPARE_GRANULE, 0, 0, 0);
    g_assert_cmphex(rmi(&s, RMI_GRANULE_DELEGATE, SPARE_GRANULE, 0, 0, 0), !=,
                    RMI_SUCCESS);
    info = query(&s);
    g_assert_cmpint(total(info, "calls", "rmi"), ==, 2);
    g_assert_cmpint(total(info, "failed-calls", "rmi"), ==, 1);
    g_assert_cmpint(total(info, "granules", "delegated"), ==, 1);
    qobject_unref(info);
    g_assert_true(hmp_says(&s, "info rmm", "1 delegated"));
    servant_quit(&s);
}

static void check_realm(const QDict *realm, bool runs)
{
    const QDict *rec = only_entry(realm, "recs");

    g_assert_cmphex(qdict_get_int(realm, "address"), ==, REALM_RD);
    g_assert_cmpint(qdict_get_int(realm, "vmid"), ==, 7);
    g_assert_cmpstr(qdict_get_str(realm, "state"), ==, "active");
    g_assert_cmpint(qdict_get_int(realm, "ipa-width"), ==, 32);
    g_assert_cmpstr(qdict_get_str(realm, "measurement-algorithm"), ==,
                    "sha256");
    g_assert_cmpuint(strlen(qdict_get_str(realm, "rim")), ==, 64);
    g_assert_cmpint(qdict_get_int(realm, "private-pages"), ==, 2);
    g_assert_cmpint(qdict_get_int(realm, "lent-pages"), ==, 0);
    g_assert_cmphex(qdict_get_int(rec, "address"), ==, REALM_REC);
    g_assert_cmpstr(qdict_get_str(rec, "state"), ==,
                    runs ? "running" : "ready");
    g_assert_cmpint(qdict_get_try_int(rec, "cpu", -1), ==, runs ? 0 : -1);
}

static void check_query(Servant *s, bool runs)
{
    QDict *info = query(s);

    check_realm(only_entry(info, "realms"), runs);
    g_assert_cmpint(total(info, "granules", "rd"), ==, 1);
    g_assert_cmpint(total(info, "granules", "rec"), ==, 1);
    g_assert_cmpint(total(info, "granules", "rtt"), ==, 3);
    g_assert_cmpint(total(info, "granules", "data"), ==, 2);
    /* The REC's first entry, where no Realm ran before */
    g_assert_cmpint(total(info, "tlb-flushes", "entered"), ==, runs);
    g_assert_cmpint(total(info, "tlb-flushes", "left"), ==, 0);
    qobject_unref(info);
}

static void test_query(void)
{
    Servant s;

    rmm_start(&s, "");
    rmm_make_realm(&s);
    check_query(&s, false);
    enter_to_stay(&s);
    check_query(&s, true);
    g_assert_true(hmp_says(&s, "info rmm", "Realm at 0x42000000: VMID 7, "
                           "active, 32 bits of IPA"));
    g_assert_true(hmp_says(&s, "info rmm", "REC 0 at 0x42004000: MPIDR 0x0, "
                           "running on CPU 0"));
    g_assert_true(hmp_says(&s, "info rmm", "TLB flushes: 1 entered, 0 left"));
    servant_quit(&s);
}

/* Enter a Realm whose first fetch the host has to serve. */
static void make_exit(Servant *s)
{
    rmm_make_realm_at(s, REALM_NOTHING);
    rmm_enter_realm(s);
    servant_finish(s);
    g_assert_cmphex(s->x[0], ==, RMI_SUCCESS);
}

static void test_exits_are_counted(void)
{
    QDict *info;
    Servant s;

    rmm_start(&s, "");
    make_exit(&s);
    info = query(&s);
    g_assert_cmpint(total(info, "exits", "sync"), ==, 1);
    g_assert_cmpint(total(info, "exits", "irq"), ==, 0);
    qobject_unref(info);
    servant_quit(&s);
}

static int64_t flushes(Servant *s)
{
    QDict *info = query(s);
    int64_t n = total(info, "tlb-flushes", "delegated");

    qobject_unref(info);
    return n;
}

static void delegate(Servant *s, unsigned first, unsigned top)
{
    for (unsigned n = first; n < top; n++) {
        rmi_ok(s, RMI_GRANULE_DELEGATE, GRANULES + n * 0x1000, 0, 0, 0);
    }
}

static void touch(Servant *s, unsigned first, unsigned top)
{
    for (unsigned n = first; n < top; n++) {
        servant_load(s, GRANULES + n * 0x1000);
    }
}

static void test_one_flush_for_all_touched_before(void)
{
    Servant s;

    rmm_start(&s, "");
    touch(&s, 0, NUM_GRANULES);
    delegate(&s, 0, NUM_GRANULES);
    g_assert_cmpint(flushes(&s), ==, 1);
    servant_quit(&s);
}

static void test_no_flush_for_what_nobody_touched(void)
{
    Servant s;

    rmm_start(&s, "");
    delegate(&s, 0, NUM_GRANULES);
    g_assert_cmpint(flushes(&s), ==, 0);
    servant_quit(&s);
}

static void test_one_flush_for_each_touched_meanwhile(void)
{
    Servant s;

    rmm_start(&s, "");
    for (unsigned n = 0; n < NUM_GRANULES; n++) {
        touch(&s, n, n + 1);
        delegate(&s, n, n + 1);
    }
    g_assert_cmpint(flushes(&s), ==, NUM_GRANULES);
    servant_quit(&s);
}

static void test_trace(void)
{
    g_autofree char *path = temporary_file();
    g_autofree char *args = g_strdup_printf("-trace realm_rmm_* -D %s", path);
    g_autofree char *text = NULL;
    Servant s;

    rmm_start(&s, args);
    make_exit(&s);
    servant_quit(&s);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_nonnull(strstr(text, "realm_rmm_call RMI_REALM_ACTIVATE "));
    g_assert_nonnull(strstr(text, "realm_rmm_call RMI_REC_ENTER realm "
                            "0x42000000 rec 0 0x42004000"));
    g_assert_nonnull(strstr(text, "realm_rmm_exit SYNC realm 0x42000000 "
                            "rec 0 returned 0x0"));
    unlink(path);
}

/* ---- Inputs of a CPU ---- */

/* They have no name, and this number (ARM_CPU_FIQ). */
#define INPUT_FIQ       1

static char *first_cpu_path(Servant *s)
{
    QDict *answer = qtest_qmp(s->qts, "{'execute': 'query-cpus-fast'}");
    QList *cpus = qdict_get_qlist(answer, "return");
    QDict *cpu = qobject_to(QDict, qlist_entry_obj(qlist_first(cpus)));
    char *path = g_strdup(qdict_get_str(cpu, "qom-path"));

    qobject_unref(answer);
    return path;
}

/*
 * The GIC has no FIQ for the Non-secure world, so the test takes its place; it
 * lowers the line by itself when the PE changes worlds.  The Realm masks FIQs
 * (PSTATE.F), which is no matter of its own here.
 */
static void interrupt_by_fiq(Servant *s, const char *cpu)
{
    qtest_set_irq_in(s->qts, cpu, NULL, INPUT_FIQ, 1);
    servant_finish(s);
    g_assert_cmphex(s->x[0], ==, RMI_SUCCESS);
    g_assert_cmpuint(exit_reason(s), ==, RMI_EXIT_FIQ);
}

static void test_fiq(void)
{
    g_autofree char *cpu = NULL;
    QDict *info;
    Servant s;

    start_secret(&s, "");
    cpu = first_cpu_path(&s);
    interrupt_by_fiq(&s, cpu);
    enter_to_stay(&s);
    interrupt_by_fiq(&s, cpu);
    info = query(&s);
    g_assert_cmpint(total(info, "exits", "fiq"), ==, 2);
    g_assert_cmpint(total(info, "exits", "irq"), ==, 0);
    qobject_unref(info);
    servant_quit(&s);
}

/* ---- What it cannot do ---- */

static void test_migration(void)
{
    QDict *error;
    Servant s;

    rmm_start(&s, "");
    error = qtest_qmp_assert_failure_ref(s.qts, "{'execute': 'migrate', "
                                         "'arguments': {'uri': 'exec:cat'}}");
    g_assert_nonnull(strstr(qdict_get_str(error, "desc"), "rmm=on"));
    qobject_unref(error);
    servant_quit(&s);
}

static void test_snapshots(void)
{
    Servant s;

    rmm_start(&s, "");
    g_assert_true(hmp_says(&s, "savevm a", "rmm=on"));
    g_assert_true(hmp_says(&s, "loadvm a", "rmm=on"));
    servant_quit(&s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/rmm/monitor/registers-of-a-realm-are-hidden",
                   test_registers);
    qtest_add_func("/rmm/monitor/memory-of-a-realm-is-not-shown",
                   test_monitor_memory);
    qtest_add_func("/rmm/monitor/saved-memory-has-no-secret",
                   test_saved_memory);
    qtest_add_func("/rmm/dump/has-no-secret", test_dump);
    qtest_add_func("/rmm/gdb/sees-the-host", test_gdb_of_the_host);
    qtest_add_func("/rmm/gdb/sees-nothing-of-a-realm", test_gdb_of_a_realm);
    qtest_add_func("/rmm/gdb/a-realm-does-not-stop-at-an-address",
                   test_breakpoints);
    qtest_add_func("/rmm/gdb/the-host-does", test_breakpoint_of_the_host);
    qtest_add_func("/rmm/reset/takes-all-granules-back", test_reset);
    qtest_add_data_func("/rmm/reset/of-a-cpu-in-a-realm", reset,
                        test_reset_in_a_realm);
    qtest_add_data_func("/rmm/reset/of-a-cpu-that-runs-a-realm",
                        reset_while_it_runs, test_reset_in_a_realm);
    qtest_add_func("/rmm/reset/wipes-what-realms-had", test_reset_wipes);
    qtest_add_func("/rmm/reset/by-psci-while-another-cpu-is-in-a-realm",
                   test_reset_by_psci);
    qtest_add_func("/rmm/query/names-the-remedy", test_query_without_rmm);
    qtest_add_func("/rmm/query/without-realms", test_query_without_realms);
    qtest_add_func("/rmm/query/a-realm", test_query);
    qtest_add_func("/rmm/query/exits-are-counted", test_exits_are_counted);
    qtest_add_func("/rmm/flushes/one-for-all-touched-before",
                   test_one_flush_for_all_touched_before);
    qtest_add_func("/rmm/flushes/none-for-what-nobody-touched",
                   test_no_flush_for_what_nobody_touched);
    qtest_add_func("/rmm/flushes/one-for-each-touched-meanwhile",
                   test_one_flush_for_each_touched_meanwhile);
    qtest_add_func("/rmm/exits/fiq-though-the-realm-masks-it", test_fiq);
    qtest_add_func("/rmm/trace/calls-and-exits", test_trace);
    qtest_add_func("/rmm/refused/migration", test_migration);
    qtest_add_func("/rmm/refused/snapshots", test_snapshots);
    return g_test_run();
}
