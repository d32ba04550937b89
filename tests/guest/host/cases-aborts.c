/*
 * Cases: aborts of a Realm, at unprotected and at protected IPAs
 *
 * Expected values: RMM 1.0, A4.2.3, A4.3.4, A5.2; Arm ARM, ESR_ELx.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "realm.h"

#define DATA_ABORT  ((uint64_t)EC_DATA << 26)
#define FETCH_ABORT ((uint64_t)EC_FETCH << 26)
#define SF          (1ul << 15)
#define SAS(n)      ((uint64_t)(n) << 22)
#define TRANSLATION(level)  (4ul | (level))
#define PERMISSION(level)   (0xcul | (level))
#define FSC_SEA     0x10
#define FSC_GPF     0x28

/* Nothing is there: no table below the start of the tables, level 1 */
#define NOWHERE     (REALM_UNPROTECTED + 0x80000000ul)
#define HPFAR(ipa)  ((ipa) >> 12 << 4)

static void expect_sync(const RmiRecExit *exit, uint64_t esr, uint64_t far,
                        uint64_t hpfar, const char *what)
{
    EXPECT(exit->exit_reason, RMI_EXIT_SYNC, "the exit's reason");
    EXPECT(exit->esr, esr, what);
    EXPECT(exit->far, far, "the exit's FAR");
    EXPECT(exit->hpfar, hpfar, "the exit's HPFAR");
    for (unsigned n = 1; n < 31; n++) {
        EXPECT(exit->gprs[n], 0, "a register of the exit but the first");
    }
}

/* ---- Emulated reads and writes ---- */

static void emulated_read(void)
{
    const uint64_t value = 0xf1e2d3c4b5a69788;
    const struct {
        struct snippet code;
        const char *name;
        uint64_t esr, got;
    } reads[] = {
        { SNIPPET("ldrb w0, [x1]"), "LDRB", SAS(0), 0x88 },
        { SNIPPET("ldrh w0, [x1]"), "LDRH", SAS(1), 0x9788 },
        { SNIPPET("ldr w0, [x1]"), "LDR W", SAS(2), 0xb5a69788 },
        { SNIPPET("ldr x0, [x1]"), "LDR X", SAS(3) | SF, value },
        { SNIPPET("ldrsb w0, [x1]"), "LDRSB W", SAS(0), 0xffffff88 },
        { SNIPPET("ldrsb x0, [x1]"), "LDRSB X", SAS(0) | SF, -0x78ul },
        { SNIPPET("ldrsh w0, [x1]"), "LDRSH W", SAS(1), 0xffff9788 },
        { SNIPPET("ldrsh x0, [x1]"), "LDRSH X", SAS(1) | SF, -0x6878ul },
        { SNIPPET("ldrsw x0, [x1]"), "LDRSW", SAS(2) | SF,
          0xffffffffb5a69788 },
    };
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];

    for (unsigned n = 0; n < sizeof(reads) / sizeof(*reads); n++) {
        RmiRecExit *exit = rec_execute(rec, reads[n].code, ~0ul,
                                       NOWHERE + 0x128, 0);

        expect_sync(exit, DATA_ABORT | ESR_ISV | reads[n].esr |
                    TRANSLATION(1), 0x128, HPFAR(NOWHERE), reads[n].name);
        EXPECT(exit->gprs[0], 0, "the data of a read");
        rec->run->enter.flags = RMI_ENTER_EMUL_MMIO;
        rec->run->enter.gprs[0] = value;
        exit = rec_enter(rec);
        rec_expect_done(exit);
        EXPECT(GOT_EXCEPTIONS(exit), 0, "exceptions of the Realm");
        EXPECT(exit->gprs[0], reads[n].got, reads[n].name);
    }
    realm_end(realm);
}
CASE("aborts", "the host emulates reads of every size, extended as they are",
     emulated_read);

static void emulated_write(void)
{
    const uint64_t value = 0xf1e2d3c4b5a69788;
    const struct {
        struct snippet code;
        const char *name;
        uint64_t esr, data;
    } writes[] = {
        { SNIPPET("strb w0, [x1]"), "STRB", SAS(0), 0x88 },
        { SNIPPET("strh w0, [x1]"), "STRH", SAS(1), 0x9788 },
        { SNIPPET("str w0, [x1]"), "STR W", SAS(2), 0xb5a69788 },
        { SNIPPET("str x0, [x1]"), "STR X", SAS(3) | SF, value },
        { SNIPPET("str xzr, [x1]"), "STR XZR", SAS(3) | SF, 0 },
    };
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];

    for (unsigned n = 0; n < sizeof(writes) / sizeof(*writes); n++) {
        RmiRecExit *exit = rec_execute(rec, writes[n].code, value,
                                       NOWHERE + 0xff8, 0);

        expect_sync(exit, DATA_ABORT | ESR_ISV | ESR_WNR | writes[n].esr |
                    TRANSLATION(1), 0xff8, HPFAR(NOWHERE), writes[n].name);
        EXPECT(exit->gprs[0], writes[n].data, "the data of a write");
        rec->run->enter.flags = RMI_ENTER_EMUL_MMIO;
        rec->run->enter.gprs[0] = 77;
        exit = rec_enter(rec);
        rec_expect_done(exit);
        EXPECT(exit->gprs[0], value, "the register that was written");
    }
    realm_end(realm);
}
CASE("aborts", "the host emulates writes of every size, and learns the data",
     emulated_write);

static void into_xzr(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit = rec_execute(rec, SNIPPET("ldr xzr, [x1]\n mov x0, sp"),
                                   0, NOWHERE, 0);

    EXPECT(exit->exit_reason, RMI_EXIT_SYNC, "the exit's reason");
    rec->run->enter.flags = RMI_ENTER_EMUL_MMIO;
    rec->run->enter.gprs[0] = 77;
    exit = rec_enter(rec);
    rec_expect_done(exit);
    EXPECT_TRUE(exit->gprs[0] != 77, "the stack pointer");
    realm_end(realm);
}
CASE("aborts", "an emulated read into XZR changes no register", into_xzr);

static void injected(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit = rec_execute(rec, SNIPPET("nop\n ldr w0, [x1]"), 5,
                                   NOWHERE + 0x20, 0);

    EXPECT(exit->exit_reason, RMI_EXIT_SYNC, "the exit's reason");
    rec->run->enter.flags = RMI_ENTER_INJECT_SEA | RMI_ENTER_EMUL_MMIO;
    exit = rec_enter(rec);
    rec_expect_done(exit);
    EXPECT(GOT_EXCEPTIONS(exit), 1, "exceptions of the Realm");
    EXPECT(ESR_EC(GOT_ESR(exit)), EC_DATA_SAME, "its class");
    EXPECT(ESR_FSC(GOT_ESR(exit)), FSC_SEA, "its status code");
    EXPECT(GOT_ESR(exit) & ESR_ISV, 0, "ISV in ESR_EL1");
    EXPECT(GOT_FAR(exit), NOWHERE + 0x20, "FAR_EL1");
    EXPECT(GOT_ELR(exit), 4, "ELR_EL1, behind the start");
    EXPECT(exit->gprs[0], 5, "the register that was not read");
    realm_end(realm);
}
CASE("aborts", "the host answers an abort with an external abort", injected);

static void not_answered(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit = rec_execute(rec, SNIPPET("ldr w0, [x1]"), 0, NOWHERE, 0);

    for (unsigned n = 0; n < 3; n++) {
        expect_sync(exit, DATA_ABORT | ESR_ISV | SAS(2) | TRANSLATION(1), 0,
                    HPFAR(NOWHERE), "ESR of an abort again");
        exit = rec_enter(rec);
    }
    realm_lend(realm, NOWHERE, 0);
    exit = rec_enter(rec);
    rec_expect_done(exit);
    EXPECT(exit->gprs[0], 0, "what a new page holds");
    realm_end(realm);
}
CASE("aborts", "an abort without an answer comes again, until a page is lent",
     not_answered);

static void without_syndrome(void)
{
    const struct snippet codes[] = {
        SNIPPET("ldp x0, x2, [x1]"), SNIPPET("stp x0, x2, [x1]"),
        SNIPPET("ldr x0, [x1], #8"), SNIPPET("ldxr x0, [x1]"),
        SNIPPET("ldr q0, [x1]"),
    };
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];

    for (unsigned n = 0; n < sizeof(codes) / sizeof(*codes); n++) {
        RmiRecExit *exit = rec_execute(rec, codes[n], 1, NOWHERE + 0x40, 2);

        EXPECT(exit->exit_reason, RMI_EXIT_SYNC, "the exit's reason");
        EXPECT(exit->esr & ~(1ul << 25), DATA_ABORT | TRANSLATION(1),
               "ESR without a syndrome");
        EXPECT(exit->far, 0, "FAR where nothing can be emulated");
        EXPECT(exit->hpfar, HPFAR(NOWHERE), "the exit's HPFAR");
        EXPECT(exit->gprs[0], 0, "the data of such an access");
        rec->run->enter.flags = RMI_ENTER_EMUL_MMIO;
        EXPECT(rec_try_enter(rec), RMI_ERROR_REC,
               "EMUL_MMIO where nothing can be emulated");
        rec->run->enter.flags = RMI_ENTER_INJECT_SEA;
        exit = rec_enter(rec);
        rec_expect_done(exit);
        EXPECT(ESR_FSC(GOT_ESR(exit)), FSC_SEA, "the Realm's status code");
    }
    realm_end(realm);
}
CASE("aborts", "an access without a syndrome is not emulated",
     without_syndrome);

static void read_only(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    uint64_t *page = (uint64_t *)page_new(1);
    RmiRecExit *exit;

    *page = 33;
    realm_lend_as(realm, REALM_SHARED + PAGE, (uint64_t)page,
                  LEND_NORMAL | LEND_READ);
    exit = rec_executed(rec, SNIPPET("ldr x0, [x1]"), 0, REALM_SHARED + PAGE,
                        0);
    EXPECT(exit->gprs[0], 33, "what the host wrote");
    exit = rec_execute(rec, SNIPPET("str x0, [x1]"), 44, REALM_SHARED + PAGE,
                       0);
    expect_sync(exit, DATA_ABORT | ESR_ISV | ESR_WNR | SAS(3) | SF |
                PERMISSION(3), 0, HPFAR(REALM_SHARED + PAGE),
                "ESR of a write to a page that is lent to read");
    EXPECT(exit->gprs[0], 44, "the data");
    rec->run->enter.flags = RMI_ENTER_EMUL_MMIO;
    rec_expect_done(rec_enter(rec));
    EXPECT(*page, 33, "the page after a write that was emulated");
    realm_end(realm);
    page_free((uint64_t)page, 1);
}
CASE("aborts", "a page is lent to read only", read_only);

static void shared_works(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    volatile uint64_t *page = (uint64_t *)realm->shared;
    RmiRecExit *exit;

    for (uint64_t n = 0; n < 5; n++) {
        page[1] = 55 + n;
        exit = rec_executed(rec,
                            SNIPPET("ldr x0, [x1, #8]\n str x2, [x1, #16]"),
                            0, REALM_SHARED, 66 + n);
        EXPECT(exit->gprs[0], 55 + n, "what the host wrote");
        EXPECT(page[2], 66 + n, "what the Realm wrote");
    }
    realm_take_back(realm, REALM_SHARED);
    exit = rec_execute(rec, SNIPPET("ldr x0, [x1, #8]"), 0, REALM_SHARED, 0);
    expect_sync(exit, DATA_ABORT | ESR_ISV | SAS(3) | SF | TRANSLATION(3), 8,
                HPFAR(REALM_SHARED), "ESR at a page that was taken back");
    realm_end(realm);
}
CASE("aborts", "host and Realm see each other's writes to a lent page, until "
     "it is taken back", shared_works);

static void call_to(uint64_t address, unsigned fsc, unsigned class,
                    const char *what)
{
    struct realm *realm = realm_start(1);
    RmiRecExit *exit = rec_executed(&realm->recs[0],
                                    SNIPPET("mov x9, x30\n blr x1\n"
                                            "mov x30, x9"), 0, address, 0);

    EXPECT(GOT_EXCEPTIONS(exit), 1, what);
    EXPECT(ESR_EC(GOT_ESR(exit)), class, "its class");
    EXPECT(ESR_FSC(GOT_ESR(exit)), fsc, "its status code");
    EXPECT(GOT_FAR(exit), address, "FAR_EL1");
    realm_end(realm);
}

static void fetch_unprotected(void)
{
    call_to(REALM_SHARED, FSC_SEA, EC_FETCH_SAME,
            "exceptions after a call to a lent page");
    call_to(NOWHERE, FSC_SEA, EC_FETCH_SAME,
            "exceptions after a call to an IPA that is not lent");
}
CASE("aborts", "no code runs at unprotected IPAs: the Realm takes an external "
     "abort", fetch_unprotected);

/* ---- Protected IPAs ---- */

static void unassigned(void)
{
    const struct snippet codes[] = {
        SNIPPET("ldr x0, [x1]"), SNIPPET("str x0, [x1]"),
        SNIPPET("ldp x0, x2, [x1]"), SNIPPET("ldrb w0, [x1]"),
    };
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];

    for (unsigned n = 0; n < sizeof(codes) / sizeof(*codes); n++) {
        uint64_t ipa = REALM_DATA + n * PAGE;
        RmiRecExit *exit = rec_execute(rec, codes[n], 0, ipa + 0x48, 0);

        expect_sync(exit, DATA_ABORT | TRANSLATION(3), 0, HPFAR(ipa),
                    "ESR of an abort at a protected IPA");
        EXPECT(exit->gprs[0], 0, "the data of such an access");
        rec->run->enter.flags = RMI_ENTER_EMUL_MMIO;
        EXPECT(rec_try_enter(rec), RMI_ERROR_REC,
               "EMUL_MMIO after an abort at a protected IPA");
        rec->run->enter.flags = 0;
        realm_page(realm, ipa, NULL);
        exit = rec_enter(rec);
        rec_expect_done(exit);
        EXPECT(GOT_EXCEPTIONS(exit), 0, "exceptions of the Realm");
    }
    realm_end(realm);
}
CASE("aborts", "RAM without a page exits, and goes on with the page",
     unassigned);

static void fetch_unassigned(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit = rec_execute(rec, SNIPPET("mov x9, x30\n blr x1\n"
                                                "mov x30, x9"),
                                   0, REALM_DATA, 0);

    expect_sync(exit, FETCH_ABORT | TRANSLATION(3), 0, HPFAR(REALM_DATA),
                "ESR of a fetch from RAM without a page");
    EXPECT(exit->gprs[0], 0, "the data of a fetch");
    realm_page(realm, REALM_DATA, NULL);
    exit = rec_enter(rec);
    rec_expect_done(exit);
    EXPECT(GOT_EXCEPTIONS(exit), 1, "exceptions of a page of zeros");
    EXPECT(ESR_EC(GOT_ESR(exit)), EC_UNKNOWN, "their class");
    realm_end(realm);
}
CASE("aborts", "a fetch from RAM without a page exits, and goes on with the "
     "page", fetch_unassigned);

static void ripas_empty(void)
{
    static const uint64_t addresses[] = { 0, 0x50000008, REALM_CODE + BLOCK,
                                          REALM_UNPROTECTED - 8 };
    struct realm *realm = realm_start(1);

    for (unsigned n = 0; n < 4; n++) {
        RmiRecExit *exit = rec_executed(&realm->recs[0],
                                        SNIPPET("ldr x0, [x1]"), 9,
                                        addresses[n], 0);

        EXPECT(GOT_EXCEPTIONS(exit), 1, "exceptions after a read of EMPTY");
        EXPECT(ESR_EC(GOT_ESR(exit)), EC_DATA_SAME, "its class");
        EXPECT(ESR_FSC(GOT_ESR(exit)), FSC_SEA, "its status code");
        EXPECT(GOT_FAR(exit), addresses[n], "FAR_EL1");
        EXPECT(GOT_ELR(exit), 0, "ELR_EL1, behind the start");
    }
    realm_end(realm);
    call_to(0x50000000, FSC_SEA, EC_FETCH_SAME,
            "exceptions after a call to EMPTY");
}
CASE("aborts", "EMPTY gives the Realm an external abort, and no exit",
     ripas_empty);

static void ripas_destroyed(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit;

    realm_page(realm, REALM_DATA, NULL);
    exit = COMMAND(rec, REALM_FILL, REALM_DATA, PAGE, 3);
    rec_expect_done(exit);
    realm_unmap(realm, REALM_DATA);
    exit = rec_execute(rec, SNIPPET("ldr x0, [x1]"), 9, REALM_DATA, 0);
    for (unsigned n = 0; n < 3; n++) {
        expect_sync(exit, DATA_ABORT | TRANSLATION(3), 0, HPFAR(REALM_DATA),
                    "ESR of a read of DESTROYED");
        if (n == 1) {
            realm_page(realm, REALM_DATA, NULL);
        }
        exit = rec_enter(rec);
    }
    realm_end(realm);
}
CASE("aborts", "DESTROYED exits, with another page as well", ripas_destroyed);

static void beyond_the_width(void)
{
    static const uint64_t addresses[] = { 1ul << REALM_IPA_BITS, 1ul << 36,
                                          1ul << 40 };
    struct realm *realm = realm_start(1);

    for (unsigned n = 0; n < 3; n++) {
        RmiRecExit *exit = rec_executed(&realm->recs[0],
                                        SNIPPET("ldr x0, [x1]"), 9,
                                        addresses[n] + 16, 0);

        EXPECT(GOT_EXCEPTIONS(exit), 1, "exceptions beyond the width");
        EXPECT(ESR_EC(GOT_ESR(exit)), EC_DATA_SAME, "its class");
        EXPECT(ESR_FSC(GOT_ESR(exit)), 0, "its status code");
        EXPECT(GOT_FAR(exit), addresses[n] + 16, "FAR_EL1");
    }
    realm_end(realm);
}
CASE("aborts", "beyond the IPA width, the Realm takes an address size fault",
     beyond_the_width);
