/*
 * The bare host that measures what Realms cost, against an ordinary guest of
 * its own in the same run (guest.h); tests/bench/host starts it
 *
 * -fw_cfg name=opt/host/KEY,string=TEXT: what is the name of a measurement
 * (the table at the end), rounds how often.
 *
 * The two sides take turns, in rounds of a few milliseconds: a round that the
 * machine's other load did not disturb is then among many.  A line of the
 * output is: bench: NAME SIDE NANOSECONDS STEPS.
 *
 * A program of a side is a loop that ends each turn with an exit, which is a
 * step.  Both sides have the same instructions, but for the one that exits, and
 * the same addresses: IPAs, which stage 1 maps to themselves.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"
#include "realm.h"

/* Above what rmi.c hands out */
#define FREE_RAM    0x80000000ul
#define FREE_SIZE   (256ul << 20)

/* IPAs of both sides; the code is in the block at REALM_CODE. */
#define STAGE1      REALM_DATA
#define CALL        (REALM_DATA + PAGE)
#define MEMORY      0x80000000ul        /* with pages, */
#define MEMORY_SIZE (16ul << 20)
#define EMPTY       0x90000000ul        /* RAM, without */
#define EMPTY_SIZE  (128ul << 20)

#define TCR_EL1     (25ul | 1ul << 8 | 1ul << 10 | 3ul << 12 | 1ul << 23 | \
                     1ul << 32)

/* One side of a comparison; @after is not timed. */
struct side {
    const char *name;
    void (*step)(void);
    void (*after)(void);
};

static struct realm *realm;
static struct rec *rec;
static struct guest guest;
static uint64_t rounds = 20;

void test_failed(const char *what, uint64_t expected, uint64_t seen)
{
    panic(what, seen);
}

void test_failed_number(const char *word, uint64_t number, const char *more,
                        uint64_t expected, uint64_t seen)
{
    panic(more, number);
}

/* ---- Time ---- */

static uint64_t now(void)
{
    asm volatile("isb" : : : "memory");
    return READ(cntvct_el0);
}

static void report(const char *name, const char *side, uint64_t time,
                   uint64_t steps)
{
    print("bench: ");
    print(name);
    print(" ");
    print(side);
    print(" ");
    print_number(time * 1000 / (READ(cntfrq_el0) / 1000000));
    print(" ");
    print_number(steps);
    print("\n");
}

/* The first step is for what happens once. */
static void round_of(const char *name, const struct side *side,
                     uint64_t steps)
{
    uint64_t begin;

    side->step();
    begin = now();
    for (uint64_t n = 0; n < steps; n++) {
        side->step();
    }
    report(name, side->name, now() - begin, steps);
    if (side->after) {
        side->after();
    }
}

static void compare(const char *name, struct side ours, struct side theirs,
                    uint64_t steps)
{
    for (uint64_t n = 0; n < rounds; n++) {
        round_of(name, &ours, steps);
        round_of(name, &theirs, steps);
    }
}

/* ---- Calls ---- */

/* RMI() checks all registers, which takes longer than most calls. */
static inline uint64_t call(uint64_t fid, uint64_t a1, uint64_t a2,
                            uint64_t a3)
{
    register uint64_t x0 asm("x0") = fid;
    register uint64_t x1 asm("x1") = a1;
    register uint64_t x2 asm("x2") = a2;
    register uint64_t x3 asm("x3") = a3;
    register uint64_t x4 asm("x4") = 0;

    asm volatile("smc #0"
                 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4)
                 : : "memory");
    return x0;
}

#define OK(...) do { \
    uint64_t status_ = call(__VA_ARGS__); \
    if (status_) { \
        panic(#__VA_ARGS__, status_); \
    } } while (0)

/* ---- The two sides ---- */

#define MAX_WORDS 16

/* @x is what X0 to X7 hold before. */
static void realm_program(struct snippet snippet, const uint64_t x[8])
{
    uint64_t words[18] = { REALM_EXECUTE, snippet.end - snippet.code };

    if (words[1] > MAX_WORDS) {
        panic("too many instructions:", words[1]);
    }
    memcpy(words + 2, snippet.code, words[1] * 4);
    memcpy(words + 10, x, 8 * sizeof(*x));
    rec_command(rec, words, 18);
}

static void plain_program(struct snippet snippet, const uint64_t x[8])
{
    static uint64_t code;

    if (!code) {
        code = page_new(1);
        guest_map(REALM_CODE, code);
    }
    memcpy((void *)code, snippet.code, (snippet.end - snippet.code) * 4);
    asm volatile("dsb sy\n ic ialluis\n dsb sy\n isb" : : : "memory");
    memcpy(guest.x, x, 8 * sizeof(*x));
    guest.pc = REALM_CODE;
    guest_enter(&guest);
}

static void realm_step(void)
{
    OK(RMI_REC_ENTER, rec->pa, (uint64_t)rec->run, 0);
}

static void realm_call_step(void)
{
    realm_step();
    if (rec->run->exit.exit_reason != RMI_EXIT_HOST_CALL) {
        panic("no host call but exit", rec->run->exit.exit_reason);
    }
}

static void plain_step(void)
{
    guest_enter(&guest);
}

static void plain_hvc_step(void)
{
    plain_step();
    if (ESR_EC(READ(esr_el2)) != EC_HVC) {
        panic("no HVC but ESR", READ(esr_el2));
    }
}

/*
 * The EL1 of both sides has the MMU on, with blocks of 1 GiB.  X0: the table,
 * X1 and X2: its entries for what is used, X3: TCR_EL1.  The program to come
 * replaces this one in its loop.
 */
#define STAGE1_ON \
    "str x1, [x0, #8]\n" \
    "str x2, [x0, #16]\n" \
    "dsb sy\n" \
    "msr ttbr0_el1, x0\n" \
    "msr tcr_el1, x3\n" \
    "mov x5, #0xff\n" \
    "msr mair_el1, x5\n" \
    "isb\n" \
    "tlbi vmalle1\n" \
    "dsb sy\n" \
    "mrs x6, sctlr_el1\n" \
    "mov x7, #0x1005\n" \
    "orr x6, x6, x7\n" \
    "msr sctlr_el1, x6\n" \
    "isb\n"

static const uint64_t stage1[8] = {
    STAGE1, RAM | MAP_BLOCK, MEMORY | MAP_BLOCK, TCR_EL1
};

static void start_realm(void)
{
    RmiRealmParams params;

    realm_params(&params);
    realm = realm_create(&params);
    realm_load(realm);
    realm_page(realm, STAGE1, NULL);
    realm_page(realm, CALL, NULL);
    realm_tables(realm, MEMORY, 2);
    realm_ram(realm, MEMORY, MEMORY + MEMORY_SIZE);
    realm_ram(realm, EMPTY, EMPTY + EMPTY_SIZE);
    rec = realm_rec(realm, true, REALM_CODE, NULL);
    realm_activate(realm);
    realm_program(SNIPPET(STAGE1_ON), stage1);
}

static void start_plain(void)
{
    guest_init(&guest);
    guest_map(STAGE1, page_new(1));
    plain_program(SNIPPET(STAGE1_ON "hvc #0"), stage1);
}

static void start(void)
{
    start_realm();
    start_plain();
}

/* Pages at MEMORY: the Realm's in the lower half of FREE_RAM. */
static void populate(void)
{
    for (uint64_t at = 0; at < MEMORY_SIZE; at += PAGE) {
        realm_tables(realm, MEMORY + at, 3);
        OK(RMI_GRANULE_DELEGATE, FREE_RAM + at, 0, 0);
        OK(RMI_DATA_CREATE_UNKNOWN, realm->rd, FREE_RAM + at, MEMORY + at);
        guest_map(MEMORY + at, FREE_RAM + FREE_SIZE / 2 + at);
    }
}

/* ---- Entry and exit ---- */

/* A call of the Realm zeroes X1 to X16: what a turn needs is elsewhere. */
#define BEGIN "mov x20, x4\n mov x21, x5\n mov x22, x6\n mov x23, x7\n 5:\n"
#define REALM_ENDS "mov x0, x20\n mov x1, x21\n smc #0\n b 5b"
#define PLAIN_ENDS "mov x0, x20\n mov x1, x21\n hvc #0\n b 5b"

static const uint64_t call_only[8] = { [4] = RSI_HOST_CALL, CALL };

static void host_call(void)
{
    start();
    realm_program(SNIPPET(BEGIN REALM_ENDS), call_only);
    plain_program(SNIPPET(BEGIN PLAIN_ENDS), call_only);
    compare("host-call", (struct side) { "realm", realm_call_step },
            (struct side) { "plain", plain_hvc_step }, 500);
}

static void realm_wfi_step(void)
{
    rec->run->enter.flags = RMI_ENTER_TRAP_WFI;
    realm_step();
    if (ESR_EC(rec->run->exit.esr) != EC_WFX) {
        panic("no WFI but ESR", rec->run->exit.esr);
    }
}

static void wfi(void)
{
    start();
    rec->run->enter.flags = RMI_ENTER_TRAP_WFI;
    realm_program(SNIPPET("wfi\n b 1b"), call_only);
    plain_program(SNIPPET(BEGIN PLAIN_ENDS), call_only);
    compare("wfi", (struct side) { "realm", realm_wfi_step },
            (struct side) { "plain", plain_hvc_step }, 500);
}

/* ---- Stage 2 faults ---- */

/*
 * Each side goes on through EMPTY from round to round, since the RIPAS of what
 * was destroyed is no longer RAM; the host's pages are used again.
 */
#define FAULTS_A_ROUND 255
static struct {
    uint64_t first, num;
} realm_faults = { EMPTY }, plain_faults = { EMPTY };

static uint64_t fault_ipa(uint64_t esr, uint64_t hpfar, uint64_t first,
                          uint64_t num)
{
    uint64_t ipa = hpfar << 8;

    if (ESR_EC(esr) != EC_DATA || ipa != first + num * PAGE) {
        panic("another fault than expected, at", ipa);
    }
    return ipa;
}

static void realm_fault_step(void)
{
    uint64_t pa = FREE_RAM + realm_faults.num * PAGE;
    uint64_t ipa = fault_ipa(rec->run->exit.esr, rec->run->exit.hpfar,
                             realm_faults.first, realm_faults.num++);

    OK(RMI_GRANULE_DELEGATE, pa, 0, 0);
    OK(RMI_DATA_CREATE_UNKNOWN, realm->rd, pa, ipa);
    realm_step();
}

static void realm_fault_after(void)
{
    for (uint64_t n = 0; n < realm_faults.num; n++) {
        OK(RMI_DATA_DESTROY, realm->rd, realm_faults.first + n * PAGE, 0);
        OK(RMI_GRANULE_UNDELEGATE, FREE_RAM + n * PAGE, 0, 0);
    }
    realm_faults.first += realm_faults.num * PAGE;
    realm_faults.num = 0;
}

/* The RMM wipes what a Realm gets; so does a hypervisor. */
static void clear_page(uint64_t pa)
{
    unsigned size = 4 << (READ(dczid_el0) & 15);

    for (uint64_t at = 0; at < PAGE; at += size) {
        asm volatile("dc zva, %0" : : "r"(pa + at) : "memory");
    }
}

static void plain_fault_step(void)
{
    uint64_t pa = FREE_RAM + FREE_SIZE / 2 + plain_faults.num * PAGE;
    uint64_t ipa = fault_ipa(READ(esr_el2), READ(hpfar_el2),
                             plain_faults.first, plain_faults.num++);

    clear_page(pa);
    guest_map(ipa, pa);
    plain_step();
}

static void plain_fault_after(void)
{
    for (uint64_t n = 0; n < plain_faults.num; n++) {
        guest_map(plain_faults.first + n * PAGE, 0);
    }
    guest_flush();
    plain_faults.first += plain_faults.num * PAGE;
    plain_faults.num = 0;
}

static void fault(void)
{
    uint64_t most = EMPTY_SIZE / PAGE / (FAULTS_A_ROUND + 1) - 1;
    const uint64_t x[8] = { EMPTY, 1, PAGE };
    struct snippet touch = SNIPPET("str x1, [x0]\n add x0, x0, x2\n b 1b");

    start();
    for (uint64_t at = 0; at < EMPTY_SIZE; at += BLOCK) {
        realm_tables(realm, EMPTY + at, 3);
        guest_map(EMPTY + at, 0);
    }
    rounds = rounds < most ? rounds : most;
    realm_program(touch, x);
    plain_program(touch, x);
    compare("fault",
            (struct side) { "realm", realm_fault_step, realm_fault_after },
            (struct side) { "plain", plain_fault_step, plain_fault_after },
            FAULTS_A_ROUND);
}

/* ---- Delegation ---- */

static uint64_t next_page;

/* So that each page is touched anew */
static void from_the_start(void)
{
    next_page = 0;
    tlb_flush_el2();
}

static void touch_step(void)
{
    *(volatile uint64_t *)(FREE_RAM + next_page++ * PAGE) = 1;
}

static void delegate_step(void)
{
    OK(RMI_GRANULE_DELEGATE, FREE_RAM + next_page++ * PAGE, 0, 0);
}

static void touch_delegate_step(void)
{
    *(volatile uint64_t *)(FREE_RAM + next_page * PAGE) = 1;
    delegate_step();
}

static void undelegate_all(void)
{
    for (uint64_t at = 0; at < FREE_SIZE; at += PAGE) {
        OK(RMI_GRANULE_UNDELEGATE, FREE_RAM + at, 0, 0);
    }
    from_the_start();
}

#define ALL (FREE_SIZE / PAGE - 1)      /* and the step that is not timed */

static void begin_again(void)
{
    next_page = 0;
}

/* The first time is that of QEMU's kernel, which finds memory. */
static void touch_all(void)
{
    memset((void *)FREE_RAM, 0, FREE_SIZE);
    from_the_start();
}

static void delegate(void)
{
    touch_all();
    compare("delegate", (struct side) { "touch", touch_step, begin_again },
            (struct side) { "delegate", delegate_step, undelegate_all }, ALL);
}

static void touch_delegate(void)
{
    touch_all();
    compare("touch-delegate",
            (struct side) { "touch", touch_step, from_the_start },
            (struct side) { "both", touch_delegate_step, undelegate_all },
            ALL);
}

/* ---- Code ---- */

/* Arithmetic, and a jump to where a register says. X23: how many turns. */
#define CPU_BOUND \
    "mov x0, x23\n" \
    "3: mul x2, x1, x0\n" \
    "eor x1, x1, x2, lsr #7\n" \
    "add x3, x3, x1\n" \
    "adr x4, 4f\n" \
    "br x4\n" \
    "4: subs x0, x0, #1\n" \
    "b.ne 3b\n"

static void cpu_bound(void)
{
    const uint64_t x[8] = { [4] = RSI_HOST_CALL, CALL, 0, 300000 };

    start();
    realm_program(SNIPPET(BEGIN CPU_BOUND REALM_ENDS), x);
    plain_program(SNIPPET(BEGIN CPU_BOUND PLAIN_ENDS), x);
    compare("cpu", (struct side) { "realm", realm_call_step },
            (struct side) { "plain", plain_hvc_step }, 1);
}

/* All words from X22 on are read and written. X23: their bytes. */
#define MEMORY_BOUND \
    "mov x0, x22\n" \
    "add x1, x22, x23\n" \
    "3: ldp x2, x3, [x0]\n" \
    "add x2, x2, x3\n" \
    "eor x3, x3, x2\n" \
    "stp x2, x3, [x0], #16\n" \
    "cmp x0, x1\n" \
    "b.ne 3b\n"

static void memory_bound(void)
{
    const uint64_t x[8] = { [4] = RSI_HOST_CALL, CALL, MEMORY, MEMORY_SIZE };

    start();
    populate();
    realm_program(SNIPPET(BEGIN MEMORY_BOUND REALM_ENDS), x);
    plain_program(SNIPPET(BEGIN MEMORY_BOUND PLAIN_ENDS), x);
    compare("memory", (struct side) { "realm", realm_call_step },
            (struct side) { "plain", plain_hvc_step }, 1);
}

/* Each page from X22 on is read after a TLBI: nothing but walks. */
#define WALKS \
    "mov x0, x22\n" \
    "add x1, x22, x23\n" \
    "tlbi vmalle1\n" \
    "dsb sy\n" \
    "3: ldr x2, [x0]\n" \
    "add x0, x0, #4096\n" \
    "cmp x0, x1\n" \
    "b.ne 3b\n"

static void walks(void)
{
    const uint64_t x[8] = { [4] = RSI_HOST_CALL, CALL, MEMORY, MEMORY_SIZE };

    start();
    populate();
    realm_program(SNIPPET(BEGIN WALKS REALM_ENDS), x);
    plain_program(SNIPPET(BEGIN WALKS PLAIN_ENDS), x);
    compare("walks", (struct side) { "realm", realm_call_step },
            (struct side) { "plain", plain_hvc_step }, 1);
}

/* ---- Which of them ---- */

static const struct {
    const char *name;
    void (*run)(void);
} benches[] = {
    { "host-call", host_call },
    { "wfi", wfi },
    { "fault", fault },
    { "delegate", delegate },
    { "touch-delegate", touch_delegate },
    { "cpu", cpu_bound },
    { "memory", memory_bound },
    { "walks", walks },
};

static bool equal(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

static void run(const char *what)
{
    for (unsigned n = 0; n < sizeof(benches) / sizeof(benches[0]); n++) {
        if (equal(what, benches[n].name)) {
            benches[n].run();
            print("bench: end\n");
            return;
        }
    }
    print("bench: opt/host/what names no measurement: ");
    print(what);
    print("\n");
}

static uint64_t to_number(const char *text)
{
    uint64_t value = 0;

    while (*text >= '0' && *text <= '9') {
        value = value * 10 + (*text++ - '0');
    }
    return value;
}

void host_main(void)
{
    static char what[64], number[16];

    parameter("what", what, sizeof(what) - 1);
    if (parameter("rounds", number, sizeof(number) - 1)) {
        rounds = to_number(number);
    }
    run(what);
}
