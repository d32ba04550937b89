/*
 * A host of Realms at EL2 that does what a test tells it
 *
 * Purpose: the servant of realm-servant.h as the program of a machine with an
 * RMM; and a Realm that it makes, whose program computes a secret that no host
 * ever had, leaves it in registers and in memory, and loops.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_QTEST_REALM_RMM_SERVANT_H
#define TESTS_QTEST_REALM_RMM_SERVANT_H

#include "realm-servant.h"
#include "target/arm/rmm/rmm-abi.h"

#define RMM_MACHINE "-machine virt,rmm=on -cpu max -accel tcg -m 64M " \
                    "-nodefaults "

/* Pages of the host: parameters; what the Realm begins with; the run page. */
#define HOST_PARAMS     0x41000000
#define HOST_PROGRAM    0x41001000
#define HOST_RUN        0x41002000

/* Granules of the Realm, from here on. */
#define GRANULES        0x42000000
#define NUM_GRANULES    24
#define REALM_RD        GRANULES
#define REALM_ROOT      (GRANULES + 0x1000)
#define REALM_TABLE_2   (GRANULES + 0x2000)
#define REALM_TABLE_3   (GRANULES + 0x3000)
#define REALM_REC       (GRANULES + 0x4000)
#define REALM_PROGRAM   (GRANULES + 0x5000)
#define REALM_MEMORY    (GRANULES + 0x6000)
#define SPARE_GRANULE   (GRANULES + 0x7000)
#define REALM_AUX       (GRANULES + 0x8000)     /* as many as a REC can need */

#define REALM_MPIDR     0

/* X0 and X1 of the Realm; the secret is one with the other, eor. */
#define HALF_0          0x0f1e2d3c4b5a6978ULL
#define SECRET          0x5ec2e75ec2e77e57ULL
#define HALF_1          (HALF_0 ^ SECRET)

static const uint32_t realm_program[] = {
    0xca010002,                 /* eor  x2, x0, x1 */
    0xd2a00609,                 /* movz x9, #0x30, lsl #16 */
    0xd5181049,                 /* msr  cpacr_el1, x9 */
    0xd5033fdf,                 /* isb */
    0x9e670040,                 /* fmov d0, x2 */
    0xd518d082,                 /* msr  tpidr_el1, x2 */
    0xd282000a,                 /* mov  x10, #0x1000 */
    0xf9000142,                 /* str  x2, [x10] */
    0x14000000,                 /* b    . */
    /* REALM_TELL: a host call whose X0 is what is in that memory */
    0xd282000a,                 /* mov  x10, #0x1000 */
    0xf9400142,                 /* ldr  x2, [x10] */
    0xd2822001,                 /* mov  x1, #0x1100 */
    0xf9000422,                 /* str  x2, [x1, #8] */
    0xd2803320,                 /* mov  x0, #0x199 */
    0xf2b88000,                 /* movk x0, #0xc400, lsl #16 */
    0xd4000003,                 /* smc  #0 */
    0x14000000,                 /* b    . */
};

/*
 * Where it is then; where it may begin instead; and RAM that the Realm's host
 * does not give it.
 */
#define REALM_LOOP      0x20
#define REALM_TELL      0x24
#define REALM_NOTHING   0x2000

/* The servant's mailbox is at its own address, and exceptions come to EL2. */
static inline char *rmm_servant_file(void)
{
    uint32_t code[ARRAY_SIZE(servant_code)];
    uint32_t vector[ARRAY_SIZE(servant_vector)];

    memcpy(code, servant_code, sizeof(code));
    memcpy(vector, servant_vector, sizeof(vector));
    code[1] = 0xd51cc000;       /* msr vbar_el2, x0 */
    code[3] = 0xd2800013;       /* mov x19, #0 */
    vector[0] = 0xd53c5217;     /* mrs x23, esr_el2 */
    vector[1] = 0xd53c6018;     /* mrs x24, far_el2 */
    return servant_file_of(code, vector);
}

static inline void rmm_start(Servant *s, const char *args)
{
    g_autofree char *path = rmm_servant_file();

    *s = (Servant) {
        .qts = qtest_initf(RMM_MACHINE "-kernel %s %s", path, args),
    };
    unlink(path);
    servant_wait(s, MAILBOX + MAIL_READY, SERVANT_READY);
}

/* An RMI call with X1 to X4; X0 is its result. */
static inline uint64_t rmi(Servant *s, uint32_t fid, uint64_t x1, uint64_t x2,
                           uint64_t x3, uint64_t x4)
{
    const uint64_t args[] = { fid, x1, x2, x3, x4 };

    servant_begin(s, SERVANT_SMC, args);
    servant_finish(s);
    g_assert_cmphex(s->esr, ==, 0);
    return s->x[0];
}

static inline void rmi_ok(Servant *s, uint32_t fid, uint64_t x1, uint64_t x2,
                          uint64_t x3, uint64_t x4)
{
    uint64_t result = rmi(s, fid, x1, x2, x3, x4);

    g_test_message("call 0x%x: 0x%" PRIx64, fid, result);
    g_assert_cmphex(result, ==, RMI_SUCCESS);
}

static inline void make_realm(Servant *s)
{
    const RmiRealmParams params = {
        .s2sz = cpu_to_le64(32), .num_bps = cpu_to_le64(1),
        .num_wps = cpu_to_le64(1), .hash_algo = cpu_to_le64(RMI_HASH_SHA_256),
        .vmid = cpu_to_le64(7), .rtt_base = cpu_to_le64(REALM_ROOT),
        .rtt_level_start = cpu_to_le64(1), .rtt_num_start = cpu_to_le32(1),
    };

    qtest_memwrite(s->qts, HOST_PARAMS, &params, sizeof(params));
    rmi_ok(s, RMI_REALM_CREATE, REALM_RD, HOST_PARAMS, 0, 0);
    rmi_ok(s, RMI_RTT_CREATE, REALM_RD, REALM_TABLE_2, 0, 2);
    rmi_ok(s, RMI_RTT_CREATE, REALM_RD, REALM_TABLE_3, 0, 3);
    rmi_ok(s, RMI_RTT_INIT_RIPAS, REALM_RD, 0, 0x3000, 0);
}

static inline void load_realm(Servant *s)
{
    uint32_t program[ARRAY_SIZE(realm_program)];

    servant_write_code(program, realm_program, ARRAY_SIZE(realm_program));
    qtest_memwrite(s->qts, HOST_PROGRAM, program, sizeof(program));
    rmi_ok(s, RMI_DATA_CREATE, REALM_RD, REALM_PROGRAM, 0, HOST_PROGRAM);
    rmi_ok(s, RMI_DATA_CREATE_UNKNOWN, REALM_RD, REALM_MEMORY, 0x1000, 0);
}

static inline void make_rec(Servant *s, uint64_t pc)
{
    RmiRecParams params = {
        .flags = cpu_to_le64(RMI_REC_RUNNABLE),
        .mpidr = cpu_to_le64(REALM_MPIDR),
        .pc = cpu_to_le64(pc),
        .gprs = { cpu_to_le64(HALF_0), cpu_to_le64(HALF_1) },
    };

    rmi_ok(s, RMI_REC_AUX_COUNT, REALM_RD, 0, 0, 0);
    params.num_aux = cpu_to_le64(s->x[1]);
    for (unsigned n = 0; n < s->x[1]; n++) {
        params.aux[n] = cpu_to_le64(REALM_AUX + 0x1000 * n);
    }
    qtest_memwrite(s->qts, HOST_PARAMS, &params, sizeof(params));
    rmi_ok(s, RMI_REC_CREATE, REALM_RD, REALM_REC, HOST_PARAMS, 0);
}

/*
 * A Realm that can run, from @pc: all granules are delegated, one of them for
 * nothing.
 */
static inline void rmm_make_realm_at(Servant *s, uint64_t pc)
{
    for (unsigned n = 0; n < NUM_GRANULES; n++) {
        rmi_ok(s, RMI_GRANULE_DELEGATE, GRANULES + 0x1000 * n, 0, 0, 0);
    }
    make_realm(s);
    load_realm(s);
    make_rec(s, pc);
    rmi_ok(s, RMI_REALM_ACTIVATE, REALM_RD, 0, 0, 0);
}

static inline void rmm_make_realm(Servant *s)
{
    rmm_make_realm_at(s, 0);
}

/* The CPU goes there and stays; the servant does not answer any more. */
static inline void rmm_enter_realm(Servant *s)
{
    const uint64_t args[] = { RMI_REC_ENTER, REALM_REC, HOST_RUN, 0, 0 };

    servant_begin(s, SERVANT_SMC, args);
}

/* Which granules are delegated: those that cannot be delegated again. */
static inline unsigned rmm_count_delegated(Servant *s)
{
    unsigned count = 0;

    for (unsigned n = 0; n < NUM_GRANULES; n++) {
        uint64_t pa = GRANULES + 0x1000 * n;

        if (rmi(s, RMI_GRANULE_DELEGATE, pa, 0, 0, 0) == RMI_SUCCESS) {
            rmi_ok(s, RMI_GRANULE_UNDELEGATE, pa, 0, 0, 0);
        } else {
            count++;
        }
    }
    return count;
}

#endif
