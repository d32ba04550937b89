/*
 * A Realm that does what a test tells it
 *
 * Purpose: a payload of some forty instructions that runs with the MMU off,
 * takes one command after the other from a page that it shares with the host,
 * and answers with the result or with the exception that it took.
 *
 * Invariants: one command at a time; the Realm looks at a command only after
 * its number has changed, and changes `done` last.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_QTEST_REALM_SERVANT_H
#define TESTS_QTEST_REALM_SERVANT_H

#include "qemu/bitops.h"
#include "qemu/bswap.h"
#include "qobject/qdict.h"
#include "tests/qtest/libqtest.h"

/* The most significant of the 41 bits of an address of the default board. */
#define SHARED BIT_ULL(40)

/* What the host sees at this address, the Realm sees at SHARED | MAILBOX. */
#define MAILBOX 0x40200000

enum {
    MAIL_NUMBER = 0x00,
    MAIL_OP = 0x08,
    MAIL_ARGS = 0x10,           /* X0 to X4 */
    MAIL_READY = 0x50,
    MAIL_DONE = 0x58,
    MAIL_ESR = 0x60,            /* 0 if there was no exception */
    MAIL_FAR = 0x68,
    MAIL_RESULTS = 0x70,        /* X0 to X3 */
};

#define SERVANT_READY 0x600d

typedef enum ServantOp {
    SERVANT_LOAD,               /* X0 = 64 bits at X0 */
    SERVANT_STORE,              /* 64 bits at X0 = X1 ^ X2 */
    SERVANT_CALL,               /* call X0 */
    SERVANT_SMC,
    SERVANT_STORE_BYTE,         /* 8 bits at X0 = X1 */
} ServantOp;

/* Where exceptions come to, from the start of the payload, which is VBAR. */
#define SERVANT_VECTOR 0x200

static const uint32_t servant_code[] = {
    0x10000000,                 /* start:  adr  x0, start */
    0xd518c000,                 /*         msr  vbar_el1, x0 */
    0xd5033fdf,                 /*         isb */
    0xd2c02013,                 /*         movz x19, #0x100, lsl #32 */
    0xf2a80413,                 /*         movk x19, #0x4020, lsl #16 */
    0xd2800014,                 /*         mov  x20, #0 */
    0xd28c01a0,                 /*         mov  x0, #0x600d */
    0xf9002a60,                 /*         str  x0, [x19, #0x50] */
    0xc8dffe75,                 /* wait:   ldar x21, [x19] */
    0xeb1402bf,                 /*         cmp  x21, x20 */
    0x54ffffc0,                 /*         b.eq wait */
    0xaa1503f4,                 /*         mov  x20, x21 */
    0xf9400676,                 /*         ldr  x22, [x19, #8] */
    0xa9410660,                 /*         ldp  x0, x1, [x19, #16] */
    0xa9420e62,                 /*         ldp  x2, x3, [x19, #32] */
    0xf9401a64,                 /*         ldr  x4, [x19, #48] */
    0xf10006df,                 /*         cmp  x22, #1 */
    0x540000e3,                 /*         b.lo load */
    0x54000100,                 /*         b.eq store */
    0xf1000edf,                 /*         cmp  x22, #3 */
    0x54000123,                 /*         b.lo call */
    0x54000140,                 /*         b.eq smc */
    0x39000001,                 /*         strb w1, [x0] */
    0x14000009,                 /*         b    done */
    0xf9400000,                 /* load:   ldr  x0, [x0] */
    0x14000007,                 /*         b    done */
    0xca020025,                 /* store:  eor  x5, x1, x2 */
    0xf9000005,                 /*         str  x5, [x0] */
    0x14000004,                 /*         b    done */
    0xd63f0000,                 /* call:   blr  x0 */
    0x14000002,                 /*         b    done */
    0xd4000003,                 /* smc:    smc  #0 */
    0xd2800017,                 /* done:   mov  x23, #0 */
    0xd2800018,                 /*         mov  x24, #0 */
    0xa9066277,                 /* answer: stp  x23, x24, [x19, #0x60] */
    0xa9070660,                 /*         stp  x0, x1, [x19, #0x70] */
    0xa9080e62,                 /*         stp  x2, x3, [x19, #0x80] */
    0x91016279,                 /*         add  x25, x19, #0x58 */
    0xc89fff34,                 /*         stlr x20, [x25] */
    0x17ffffe1,                 /*         b    wait */
};

static const uint32_t servant_vector[] = {
    0xd5385217,                 /*         mrs  x23, esr_el1 */
    0xd5386018,                 /*         mrs  x24, far_el1 */
    0x17ffffa0,                 /*         b    answer */
};

/* Two instructions for SERVANT_CALL, as one word of memory. */
#define CODE_RET 0xd65f03c0d503201fULL  /* nop; ret */

typedef struct Servant {
    QTestState *qts;
    uint64_t number;            /* of the last command */
    uint64_t esr, far, x[4];    /* its answer */
} Servant;

static inline void servant_write_code(uint32_t *to, const uint32_t *from,
                                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        to[i] = cpu_to_le32(from[i]);
    }
}

/*
 * The payload as a file for -kernel, which loads it at a multiple of 2 KiB;
 * @code and @vector are as long as ours.
 */
static inline char *servant_file_of(const uint32_t *code,
                                    const uint32_t *vector)
{
    uint32_t image[0x400 / 4] = { 0 };
    char *path = NULL;
    int fd = g_file_open_tmp("realm-servant-XXXXXX", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    servant_write_code(image, code, ARRAY_SIZE(servant_code));
    servant_write_code(image + SERVANT_VECTOR / 4, vector,
                       ARRAY_SIZE(servant_vector));
    g_assert_cmpint(write(fd, image, sizeof(image)), ==, sizeof(image));
    close(fd);
    return path;
}

static inline char *servant_file(void)
{
    return servant_file_of(servant_code, servant_vector);
}

/* Wait until the word at @addr, as the host sees it, is @value. */
static inline void servant_wait(Servant *s, uint64_t addr, uint64_t value)
{
    gint64 end = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND;

    while (qtest_readq(s->qts, addr) != value) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(200);
    }
}

/* Start a Realm with @args, if any, besides what makes it a Realm. */
static inline void servant_start(Servant *s, const char *args)
{
    g_autofree char *path = servant_file();

    *s = (Servant) {
        .qts = qtest_initf("-machine virt,confidential-guest-support=rme0 "
                           "-object rme-guest,id=rme0 -accel tcg -m 64M "
                           "-nodefaults -kernel %s %s", path, args),
    };
    unlink(path);
    servant_wait(s, MAILBOX + MAIL_READY, SERVANT_READY);
}

static inline void servant_quit(Servant *s)
{
    qtest_quit(s->qts);
}

/* Begin a command with arguments X0 to X4. */
static inline void servant_begin(Servant *s, ServantOp op,
                                 const uint64_t args[5])
{
    for (size_t i = 0; i < 5; i++) {
        qtest_writeq(s->qts, MAILBOX + MAIL_ARGS + 8 * i, args[i]);
    }
    qtest_writeq(s->qts, MAILBOX + MAIL_OP, op);
    qtest_writeq(s->qts, MAILBOX + MAIL_NUMBER, ++s->number);
}

/* The answer to it is in @s afterwards. */
static inline void servant_finish(Servant *s)
{
    servant_wait(s, MAILBOX + MAIL_DONE, s->number);

    s->esr = qtest_readq(s->qts, MAILBOX + MAIL_ESR);
    s->far = qtest_readq(s->qts, MAILBOX + MAIL_FAR);
    for (size_t i = 0; i < ARRAY_SIZE(s->x); i++) {
        s->x[i] = qtest_readq(s->qts, MAILBOX + MAIL_RESULTS + 8 * i);
    }
}

static inline void servant_do(Servant *s, ServantOp op, uint64_t x0,
                              uint64_t x1, uint64_t x2, uint64_t x3)
{
    const uint64_t args[] = { x0, x1, x2, x3, 0 };

    servant_begin(s, op, args);
    servant_finish(s);
}

static inline uint64_t servant_load(Servant *s, uint64_t ipa)
{
    servant_do(s, SERVANT_LOAD, ipa, 0, 0, 0);
    g_assert_cmphex(s->esr, ==, 0);
    return s->x[0];
}

/* The value itself is never in shared memory, only its two halves. */
static inline void servant_store(Servant *s, uint64_t ipa, uint64_t value)
{
    const uint64_t key = 0x5aa5f00fc33c9669;

    servant_do(s, SERVANT_STORE, ipa, value ^ key, key, 0);
    g_assert_cmphex(s->esr, ==, 0);
}

/* RSI_IPA_STATE_SET (RMM 1.0, B5.3.5) of the page at @ipa. */
static inline void servant_set_ripas(Servant *s, uint64_t ipa, bool ram)
{
    servant_do(s, SERVANT_SMC, 0xc4000197, ipa, ipa + 0x1000, ram);
    g_assert_cmphex(s->esr, ==, 0);
    g_assert_cmphex(s->x[0], ==, 0);
    g_assert_cmphex(s->x[1], ==, ipa + 0x1000);
}

#endif
