/*
 * Granules: states, locks and wiping (see granule.h)
 *
 * A granule is one byte: its state, whether it is foreign, and the lock bit.
 * The bytes are found by PA through two levels of pointers, each made when the
 * first granule below it is asked for, so metadata costs 1/4096 of what is
 * delegated.
 * Delegable memory ends at 2^48: every Realm's descriptors can name it.
 *
 * Lock rule: none but the granule's own bit, taken by compare-and-swap
 * (lock.h, kind 3).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "granule.h"
#include "rmm-abi.h"
#include "rmm-internal.h"

#define GRANULE_LOCKED  0x80
#define GRANULE_FOREIGN 0x40    /* with DELEGATED only */
#define GRANULE_STATE   0x3f

#define TO(state) (1u << GRANULE_##state)

/* From each state, the states that may follow (RMM 1.0, A2.2.2). */
static const uint8_t transitions[GRANULE_STATES] = {
    [GRANULE_NS]        = TO(DELEGATED),
    [GRANULE_DELEGATED] = TO(NS) | TO(RD) | TO(REC) | TO(REC_AUX) |
                          TO(DATA) | TO(RTT),
    [GRANULE_RD]        = TO(DELEGATED),
    [GRANULE_REC]       = TO(DELEGATED),
    [GRANULE_REC_AUX]   = TO(DELEGATED),
    [GRANULE_DATA]      = TO(DELEGATED),
    [GRANULE_RTT]       = TO(DELEGATED),
};

#undef TO

bool granule_transition_allowed(GranuleState from, GranuleState to)
{
    return from < GRANULE_STATES && to < GRANULE_STATES &&
           (transitions[from] >> to & 1);
}

/* PA: 47:39 a pointer to, 38:26 a pointer to, 25:12 the byte. */
#define PA_BITS   48
#define TOP_SHIFT 39
#define MID_SHIFT 26
#define MID_COUNT ((size_t)1 << (TOP_SHIFT - MID_SHIFT))
#define LEAF_SIZE ((size_t)1 << (MID_SHIFT - RMM_GRANULE_SHIFT))

_Static_assert(PA_BITS - TOP_SHIFT == GRANULE_TOP_BITS, "Rmm.granules");

/* What @slot points to; @size zero bytes if nothing yet. */
static void *child_get(void **slot, size_t size)
{
    void *child = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
    void *fresh;

    if (child) {
        return child;
    }
    fresh = g_malloc0(size);
    if (__atomic_compare_exchange_n(slot, &child, fresh, false,
                                    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        return fresh;
    }
    g_free(fresh);              /* another thread was first */
    return child;
}

void granule_free_all(Rmm *rmm)
{
    size_t i, j;

    for (i = 0; i < G_N_ELEMENTS(rmm->granules); i++) {
        void **mid = rmm->granules[i];

        for (j = 0; mid && j < MID_COUNT; j++) {
            g_free(mid[j]);
        }
        g_free(mid);
    }
}

static void count_leaf(const uint8_t *byte, uint64_t count[GRANULE_STATES])
{
    size_t i;

    for (i = 0; i < LEAF_SIZE; i++) {
        count[__atomic_load_n(&byte[i], __ATOMIC_RELAXED) & GRANULE_STATE]++;
    }
}

void granule_count(Rmm *rmm, uint64_t count[GRANULE_STATES])
{
    size_t i, j;

    for (i = 0; i < G_N_ELEMENTS(rmm->granules); i++) {
        void **mid = __atomic_load_n(&rmm->granules[i], __ATOMIC_ACQUIRE);

        for (j = 0; mid && j < MID_COUNT; j++) {
            const uint8_t *leaf = __atomic_load_n(&mid[j], __ATOMIC_ACQUIRE);

            if (leaf) {
                count_leaf(leaf, count);
            }
        }
    }
    count[GRANULE_NS] = 0;      /* who knows how many nobody asked about */
}

/* The state byte of @pa, or NULL if it is no granule. */
static uint8_t *granule_byte(Rmm *rmm, uint64_t pa)
{
    void **mid;
    uint8_t *leaf;

    if (pa % RMM_GRANULE_SIZE || pa >> PA_BITS ||
        !rmm->ops.granule(rmm->opaque, pa)) {
        return NULL;
    }
    mid = child_get(&rmm->granules[pa >> TOP_SHIFT],
                    MID_COUNT * sizeof(*mid));
    leaf = child_get(&mid[pa >> MID_SHIFT & (MID_COUNT - 1)], LEAF_SIZE);
    return &leaf[pa >> RMM_GRANULE_SHIFT & (LEAF_SIZE - 1)];
}

bool granule_lock(Rmm *rmm, uint64_t pa, GranuleState state)
{
    uint8_t *byte = granule_byte(rmm, pa);
    uint8_t seen;

    if (!byte) {
        return false;
    }
    lock_check_take(LOCK_GRANULE, pa);
    seen = __atomic_load_n(byte, __ATOMIC_RELAXED);
    for (;;) {
        if (seen & GRANULE_LOCKED) {
            /* Whoever holds it is about to decide: wait for the outcome. */
            g_thread_yield();
            seen = __atomic_load_n(byte, __ATOMIC_RELAXED);
        } else if ((seen & GRANULE_STATE) != state) {
            lock_check_drop(LOCK_GRANULE, pa);
            return false;
        } else if (__atomic_compare_exchange_n(byte, &seen,
                                               seen | GRANULE_LOCKED, false,
                                               __ATOMIC_ACQUIRE,
                                               __ATOMIC_RELAXED)) {
            return true;
        }
    }
}

static uint8_t *granule_byte_locked(Rmm *rmm, uint64_t pa)
{
    uint8_t *byte = granule_byte(rmm, pa);

    g_assert(byte);
    g_assert(__atomic_load_n(byte, __ATOMIC_RELAXED) & GRANULE_LOCKED);
    return byte;
}

void granule_unlock(Rmm *rmm, uint64_t pa)
{
    uint8_t *byte = granule_byte_locked(rmm, pa);

    lock_check_drop(LOCK_GRANULE, pa);
    __atomic_fetch_and(byte, (uint8_t)~GRANULE_LOCKED, __ATOMIC_RELEASE);
}

bool granule_lock_range(Rmm *rmm, uint64_t pa, unsigned count,
                        GranuleState state)
{
    unsigned i;

    for (i = 0; i < count; i++) {
        if (!granule_lock(rmm, pa + (uint64_t)i * RMM_GRANULE_SIZE, state)) {
            break;
        }
    }
    if (i == count) {
        return true;
    }
    while (i--) {
        granule_unlock(rmm, pa + (uint64_t)i * RMM_GRANULE_SIZE);
    }
    return false;
}

/* The one place where a state changes; the granule stays locked. */
static void granule_transition(Rmm *rmm, uint64_t pa, GranuleState to)
{
    uint8_t *byte = granule_byte_locked(rmm, pa);
    uint8_t now = __atomic_load_n(byte, __ATOMIC_RELAXED);
    uint8_t next = to | GRANULE_LOCKED;

    rmm_rule(granule_transition_allowed(now & GRANULE_STATE, to),
             "granule.h: no granule goes from state %d to %d (RMM 1.0, A2.2)",
             now & GRANULE_STATE, to);
    rmm_rule(!(now & GRANULE_FOREIGN),
             "granule.h: what the host left goes to state %d unclaimed", to);
    if ((now & GRANULE_STATE) == GRANULE_NS) {
        next |= GRANULE_FOREIGN;
    }
    __atomic_store_n(byte, next, __ATOMIC_SEQ_CST);
}

void granule_unlock_transition(Rmm *rmm, uint64_t pa, GranuleState to)
{
    granule_transition(rmm, pa, to);
    granule_unlock(rmm, pa);
}

GranuleState granule_state(Rmm *rmm, uint64_t pa)
{
    uint8_t *byte = granule_byte(rmm, pa);

    return byte ? __atomic_load_n(byte, __ATOMIC_RELAXED) & GRANULE_STATE
                : GRANULE_NS;
}

bool granule_is_locked(Rmm *rmm, uint64_t pa)
{
    uint8_t *byte = granule_byte(rmm, pa);

    return byte && __atomic_load_n(byte, __ATOMIC_RELAXED) & GRANULE_LOCKED;
}

bool granule_is_foreign(Rmm *rmm, uint64_t pa)
{
    uint8_t *byte = granule_byte(rmm, pa);

    return byte && __atomic_load_n(byte, __ATOMIC_RELAXED) & GRANULE_FOREIGN;
}

void *granule_map(Rmm *rmm, uint64_t pa)
{
    void *p = rmm->ops.granule(rmm->opaque, pa);

    g_assert(p);
    return p;
}

uint8_t *granule_map_tags(Rmm *rmm, uint64_t pa)
{
    if (!rmm->ops.granule_tags) {
        return NULL;
    }
    return rmm->ops.granule_tags(rmm->opaque, pa);
}

static bool is_zero(const void *p, size_t len)
{
    const uint64_t *word = p;
    uint64_t any = 0;
    size_t i;

    for (i = 0; i < len / sizeof(*word); i++) {
        any |= word[i];
    }
    return !any;
}

/*
 * The machine need not allocate memory that was never written, and reads it as
 * zero.  So memory that holds zeros already is not written.  Other memory is
 * wiped no slower for the test, which reads all of it at once: measured, that
 * is faster than to stop at the first word that is not zero.
 */
static void zero_memory(void *p, size_t len)
{
    if (!is_zero(p, len)) {
        memset(p, 0, len);
    }
}

static void wipe_tags(Rmm *rmm, uint64_t pa)
{
    uint8_t *tags = granule_map_tags(rmm, pa);

    if (tags) {
        zero_memory(tags, RMM_TAG_BYTES);
    }
}

void granule_wipe(Rmm *rmm, uint64_t pa)
{
    zero_memory(granule_map(rmm, pa), RMM_GRANULE_SIZE);
    wipe_tags(rmm, pa);
}

void granule_claim(Rmm *rmm, uint64_t pa, bool overwritten)
{
    uint8_t *byte = granule_byte_locked(rmm, pa);

    if (!(__atomic_load_n(byte, __ATOMIC_RELAXED) & GRANULE_FOREIGN)) {
        return;
    }
    if (overwritten) {
        wipe_tags(rmm, pa);
    } else {
        granule_wipe(rmm, pa);
    }
    __atomic_fetch_and(byte, (uint8_t)~GRANULE_FOREIGN, __ATOMIC_RELAXED);
}

void granule_release(Rmm *rmm, uint64_t pa, GranuleState from)
{
    bool locked = granule_lock(rmm, pa, from);

    /* Only its owner, who called, could have changed the state. */
    g_assert(locked);
    granule_wipe(rmm, pa);
    granule_unlock_transition(rmm, pa, GRANULE_DELEGATED);
}

static void set_pas(Rmm *rmm, uint64_t pa, bool realm)
{
    if (rmm->ops.granule_pas) {
        rmm->ops.granule_pas(rmm->opaque, pa, realm);
    }
}

/*
 * A walk that begins once the machine drops what PEs cached of the granule sees
 * that it is not lent any more (rmm_stage2_walk).  The host may write to it
 * until then, and the granule is locked: so what becomes of it comes later.
 */
uint64_t granule_delegate(Rmm *rmm, uint64_t pa)
{
    if (!granule_lock(rmm, pa, GRANULE_NS)) {
        return RMI_ERROR_INPUT;
    }
    granule_transition(rmm, pa, GRANULE_DELEGATED);
    set_pas(rmm, pa, true);
    granule_unlock(rmm, pa);
    return RMI_SUCCESS;
}

uint64_t granule_undelegate(Rmm *rmm, uint64_t pa)
{
    if (!granule_lock(rmm, pa, GRANULE_DELEGATED)) {
        return RMI_ERROR_INPUT;
    }
    granule_claim(rmm, pa, false);
    set_pas(rmm, pa, false);
    granule_unlock_transition(rmm, pa, GRANULE_NS);
    return RMI_SUCCESS;
}
