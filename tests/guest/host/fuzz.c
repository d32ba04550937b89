/*
 * The bare host that does anything at all: random calls, entries and accesses
 * from all CPUs at once (tests/host/fuzz)
 *
 * Half of the CPUs are builders: they make Realms, run random instructions in
 * them with random entry flags and list registers, and destroy them.  The
 * others are attackers: random calls with the addresses of what builders have
 * made, writes to any page, entries of any REC.  Nothing is expected to
 * succeed, so whoever meets something unexpected begins again.  A round ends by
 * a reset of the machine, whatever the CPUs are doing.
 *
 * What must hold: nothing that this program can read is a Realm's secret.
 *
 * Parameters: seed, and seconds for all rounds (-fw_cfg name=opt/host/...).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "realm.h"

#define ROUND_MS    1000
/* Pages that builders come to late, if at all */
#define WILD        (POOL + 0x4000000ul)
#define WILD_PAGES  64
#define PSCI_RESET  0x84000009u

/* It is in no program: a Realm makes it of two values. */
#define SECRET_A    0x5ec2e75ec2e70000ul
#define SECRET_B    0x0123456789abcdeful

/* Here RAM keeps from reset to reset what happened so far. */
struct totals {
    uint64_t rounds, begin, calls, entries, realms, exceptions, successes;
    uint64_t pages;             /* of the round that took most */
};
#define TOTALS ((volatile struct totals *)0x47fff000ul)

static struct random {
    uint64_t state;
} random_of[MAX_CPUS];

static uint64_t random_number(void)
{
    uint64_t *s = &random_of[cpu_index()].state;

    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s * 0x2545f4914f6cdd1dul;
}

static uint64_t below(uint64_t limit)
{
    return (random_number() >> 16) % limit;
}

static bool one_in(unsigned n)
{
    return below(n) == 0;
}

/* A case is over: realm.c and rmi.c call this when something fails. */
void test_failed(const char *what, uint64_t expected, uint64_t seen)
{
    cpu_leave();
}

void test_failed_number(const char *word, uint64_t number, const char *more,
                        uint64_t expected, uint64_t seen)
{
    cpu_leave();
}

/* ---- What calls are about ---- */

/* PAs that builders use now; attackers read it without a lock. */
#define OBJECTS 64
static volatile uint64_t objects[OBJECTS];
static struct rec *volatile recs[16];

static void remember(const struct realm *realm)
{
    objects[below(OBJECTS)] = realm->rd;
    objects[below(OBJECTS)] = realm->root;
    for (unsigned n = 0; n < realm->num_pieces; n++) {
        objects[below(OBJECTS)] = realm->pieces[n].pa;
    }
    for (unsigned n = 0; n < realm->num_recs; n++) {
        objects[below(OBJECTS)] = realm->recs[n].pa;
        objects[below(OBJECTS)] = (uint64_t)realm->recs[n].run;
        recs[below(16)] = (struct rec *)&realm->recs[n];
    }
}

static uint64_t pool_page(void)
{
    return WILD + below(WILD_PAGES) * PAGE;
}

static uint64_t address(void)
{
    switch (below(8)) {
    case 0:
        return REALM_CODE + below(0x400) * PAGE;
    case 1:
        return REALM_SHARED + below(0x400) * PAGE;
    case 2:
        return 1ul << below(64);
    case 3:
        return GICD + below(0x1000) * PAGE;
    case 4:
        return ram_top() - PAGE + below(3) * PAGE;
    default:
        return below(REALM_UNPROTECTED * 2 / PAGE) * PAGE;
    }
}

static uint64_t argument(void)
{
    switch (below(16)) {
    case 0 ... 4:
        return objects[below(OBJECTS)];
    case 5 ... 7:
        return pool_page();
    case 8 ... 11:
        return address();
    case 12:
        return pool_page() + below(PAGE);
    case 13:
        return random_number();
    default:
        return below(5);
    }
}

/* ---- Builders ---- */

static uint32_t instruction(void)
{
    static const uint32_t some[] = {
        0xd4000003,     /* smc #0 */
        0xd4000002,     /* hvc #0 */
        0xd503207f,     /* wfi */
        0xd503205f,     /* wfe */
        0xf9400020,     /* ldr x0, [x1] */
        0xf9000020,     /* str x0, [x1] */
        0x39400020,     /* ldrb w0, [x1] */
        0xa9400820,     /* ldp x0, x2, [x1] */
        0xd5033fdf,     /* isb */
        0xd518cba0,     /* msr icc_sgi1r_el1, x0 */
        0xd518cc40,     /* msr icc_ctlr_el1... a neighbour */
        0xd5300000,     /* mrs x0, s2_0_c0_c0_0: below, any register */
        0xd53be020,     /* mrs x0, cntpct_el0 */
        0xd51be220,     /* msr cntp_ctl_el0, x0 */
        0xd51be320,     /* msr cntv_ctl_el0, x0 */
        0xd51be340,     /* msr cntv_cval_el0, x0 */
        0xd508831f,     /* tlbi vmalle1is */
        0xd50b7421,     /* dc zva, x1 */
    };
    uint32_t word = some[below(sizeof(some) / sizeof(*some))];

    if (word == 0xd5300000) {
        word |= ((uint32_t)below(1 << 20) & 0xfffe0) | below(2) << 21;
    }
    return one_in(8) ? (uint32_t)random_number() : word;
}

static void choose_entry(struct rec *rec)
{
    RmiRecEnter *enter = &rec->run->enter;

    enter->flags = one_in(3) ? below(64) : 0;
    enter->gicv3_hcr = one_in(4) ? random_number() & 0xffff : 0;
    for (unsigned n = 0; n < 4; n++) {
        enter->gicv3_lrs[n] = one_in(4)
            ? 1ul << (62 + below(2)) | 1ul << 60 | below(256) << 48 | below(64)
            : one_in(16) ? random_number() : 0;
    }
}

static const uint32_t fids[] = {
    RSI_VERSION, RSI_FEATURES, RSI_MEASUREMENT_READ, RSI_MEASUREMENT_EXTEND,
    RSI_ATTESTATION_TOKEN_INIT, RSI_ATTESTATION_TOKEN_CONTINUE,
    RSI_REALM_CONFIG, RSI_IPA_STATE_SET, RSI_IPA_STATE_GET, RSI_HOST_CALL,
    PSCI_FID_VERSION, PSCI_FID_CPU_SUSPEND, PSCI_FID_CPU_OFF, PSCI_FID_CPU_ON,
    PSCI_FID_AFFINITY_INFO, PSCI_FID_FEATURES,
};

/* One command of REALM_EXECUTE, and whatever exits come of it. */
static void run_something(struct rec *rec)
{
    uint64_t words[18] = { REALM_EXECUTE, 1 + below(8) };

    for (unsigned n = 0; n < words[1]; n++) {
        words[2 + n] = instruction();
    }
    for (unsigned n = 0; n < 8; n++) {
        words[10 + n] = argument();
    }
    words[10] = one_in(2) ? fids[below(sizeof(fids) / sizeof(*fids))]
                          : words[10];
    rec_command_for(rec, words, 18, 1 + below(5));
    for (unsigned n = below(6); n; n--) {
        choose_entry(rec);
        rec_enter_for(rec, 1 + below(5));
    }
}

/* The Realm keeps a secret in memory, and forgets it in its registers. */
static void make_secret(struct rec *rec)
{
    rec_execute(rec, SNIPPET("eor x0, x0, x2\n str x0, [x1]\n"
                             "str x0, [x1, #4088]\n dmb sy\n"
                             "eor x0, x0, x2\n"),
                SECRET_A, REALM_DATA, SECRET_B);
}

static void build(void *unused)
{
    struct realm *realm = realm_start(1 + below(3));

    remember(realm);
    make_secret(&realm->recs[0]);
    for (unsigned n = below(200); n; n--) {
        run_something(&realm->recs[below(realm->num_recs)]);
        remember(realm);
    }
    realm_end(realm);
}

static void build_safely(void *unused)
{
    cpu_call(build, NULL);
    realm_abandon();
}

/* ---- Attackers ---- */

static void look_for_secret(uint64_t value)
{
    if (value == (SECRET_A ^ SECRET_B)) {
        panic("a Realm's secret was read by CPU", cpu_index());
    }
}

/* This program needs its own memory: no call takes it, lends it, or writes. */
static void spare_program(struct regs *regs)
{
    unsigned n = (uint32_t)regs->x[0] == RMI_GRANULE_DELEGATE ? 1 :
                 (uint32_t)regs->x[0] == RMI_REC_ENTER ? 2 :
                 (uint32_t)regs->x[0] == RMI_RTT_MAP_UNPROTECTED ? 4 : 0;
    uint64_t pa = regs->x[n] & ((1ul << 48) - 1);

    if (n && pa >= RAM && pa < POOL) {
        regs->x[n] += POOL - RAM;
    }
}

static void call(void)
{
    struct regs regs = { .x = { RMI_FID(below(0x1c)) } };

    for (unsigned n = 1; n < 8; n++) {
        regs.x[n] = argument();
    }
    if (one_in(64)) {
        regs.x[0] = random_number();
    }
    if (regs.x[0] == RMI_REC_ENTER && recs[0]) {
        regs.x[1] = recs[below(16)] ? recs[0]->pa : regs.x[1];
        alarm_set(1 + below(4));
    }
    if ((uint32_t)regs.x[0] >> 8 == 0x840000 ||
        (uint32_t)regs.x[0] >> 8 == 0xc40000) {
        return;                 /* PSCI of this machine */
    }
    spare_program(&regs);
    smc_regs(&regs);
    alarm_off();
    TOTALS->calls++;
    TOTALS->successes += regs.x[0] == RMI_SUCCESS;
    for (unsigned n = 0; n < 31; n++) {
        look_for_secret(regs.x[n]);
    }
}

static void touch(void)
{
    uint64_t pa = one_in(2) ? objects[below(OBJECTS)] : pool_page(), value = 0;
    uint64_t at = pa + (one_in(2) ? below(PAGE / 8) * 8 : one_in(2) * 4088);

    if (at < POOL || at >= WILD + WILD_PAGES * PAGE) {
        return;
    }
    if (one_in(2)) {
        TOTALS->exceptions += try_write(at, argument()).esr != 0;
        return;
    }
    TOTALS->exceptions += try_read(at, &value).esr != 0;
    look_for_secret(value);
}

static void attack(void *unused)
{
    for (;;) {
        if (one_in(3)) {
            touch();
        } else {
            call();
        }
    }
}

static void work(void *builder)
{
    for (;;) {
        try_call(builder ? build_safely : attack, NULL);
    }
}

/* ---- Rounds ---- */

static uint64_t number_parameter(const char *name)
{
    char text[24] = "";
    uint64_t value = 0;

    parameter(name, text, sizeof(text) - 1);
    for (unsigned n = 0; text[n] >= '0' && text[n] <= '9'; n++) {
        value = value * 10 + text[n] - '0';
    }
    return value;
}

static void say_totals(void)
{
    print("fuzz: ");
    print_number(TOTALS->rounds);
    print(" rounds, ");
    print_number(TOTALS->calls);
    print(" calls, ");
    print_number(TOTALS->successes);
    print(" successes, ");
    print_number(TOTALS->entries);
    print(" entries, ");
    print_number(TOTALS->realms);
    print(" Realms, ");
    print_number(TOTALS->exceptions);
    print(" faults, ");
    print_number(TOTALS->pages);
    print(" pages\n");
}

void host_main(void)
{
    uint64_t seed = number_parameter("seed"), end;
    unsigned cpus = cpus_on();

    if (!TOTALS->rounds) {
        TOTALS->begin = ticks();
    }
    print("round ");
    print_number(TOTALS->rounds);
    print("\n");
    for (unsigned n = 0; n < cpus; n++) {
        random_of[n].state = (seed + 1) * 0x9e3779b97f4a7c15ul ^
                             (TOTALS->rounds * MAX_CPUS + n + 1) *
                             0xbf58476d1ce4e5b9ul;
    }
    end = ticks() + ticks_of_ms(ROUND_MS);
    for (unsigned n = 1; n < cpus; n++) {
        cpu_start(n, work, (void *)(uint64_t)(n % 2));
    }
    while (ticks() < end) {
        call();
        touch();
    }
    TOTALS->rounds++;
    TOTALS->calls += figures.calls;
    TOTALS->entries += figures.entries;
    TOTALS->realms += figures.realms;
    if (figures.pages > TOTALS->pages) {
        TOTALS->pages = figures.pages;
    }
    if (ticks() - TOTALS->begin >
        ticks_of_ms(1000) * number_parameter("seconds")) {
        say_totals();
        power_off();
    }
    smc(PSCI_RESET, 0, 0, 0);
}
