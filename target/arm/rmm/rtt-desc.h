/*
 * Stage 2 descriptors: every bit that has a meaning, and how to read it
 *
 * Private to the rtt-*.c files and the walker.  The table of encodings
 * stands in rtt.h; nothing outside this file knows a bit number.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_RTT_DESC_H
#define RMM_RTT_DESC_H

#include "rtt.h"

#define DESC_TYPE       3ull
#define DESC_BLOCK      1ull
#define DESC_TABLE      3ull            /* levels below 3 */
#define DESC_PAGE       3ull            /* level 3 */
#define DESC_PA         0x0003fffffffff000ull   /* 49:48 with LPA2 only */

/* Valid leaf, protected: MemAttr WB with FWB, S2AP RW, AF. */
#define DESC_RAM        0x4d8ull
#define DESC_S2AP_W     (1ull << 7)
#define DESC_DBM        (1ull << 51)

/* Valid leaf, unprotected: what the host may choose, and what we add. */
#define DESC_NS_HOST    0x0000fffffffff0dcull
#define DESC_NS_HOST_LPA2 0x0003fffffffff3dcull /* OA 51:50 in 9:8 */
#define DESC_NS_ATTR(d) ((d) >> 2 & 7)
/* Bits 9:8 without LPA2; with it, the table walk's shareability is used. */
#define DESC_SH_OUTER   (2ull << 8)
#define DESC_SH_INNER   (3ull << 8)
#define DESC_AF         (1ull << 10)
#define DESC_XN         (1ull << 54)

/* What of a RAM leaf says only whether it is dirty. */
#define DESC_DIRTY_STATE (DESC_S2AP_W | DESC_DBM | DESC_PENDING)

/* Software bits, 58:55.  57:56 are kept for who shares a page. */
#define DESC_NS         (1ull << 55)
#define DESC_PENDING    (1ull << 58)

/* Invalid entry. */
#define DESC_ASSIGNED   (1ull << 2)
#define DESC_HIPAS(d)   ((d) >> 2 & 7)
#define DESC_RIPAS(d)   ((d) >> 5 & 3)
#define DESC_OF_RIPAS(r) ((uint64_t)(r) << 5)

static inline uint64_t desc_load(const uint64_t *entry)
{
    return __atomic_load_n(entry, __ATOMIC_SEQ_CST);
}

/* What replaces @entry is seen by every walker that enters from now on. */
static inline uint64_t desc_exchange(uint64_t *entry, uint64_t desc)
{
    return __atomic_exchange_n(entry, desc, __ATOMIC_SEQ_CST);
}

/* On failure, *@old is what stands there now. */
static inline bool desc_replace(uint64_t *entry, uint64_t *old, uint64_t desc)
{
    return __atomic_compare_exchange_n(entry, old, desc, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static inline bool desc_is_table(uint64_t desc, int level)
{
    return level < RTT_PAGE_LEVEL && (desc & DESC_TYPE) == DESC_TABLE;
}

/* Type bits of a valid leaf at @level. */
static inline uint64_t desc_leaf(int level)
{
    return level == RTT_PAGE_LEVEL ? DESC_PAGE : DESC_BLOCK;
}

/* ASSIGNED with RIPAS RAM. */
static inline bool desc_is_ram(uint64_t desc, int level)
{
    return (desc & DESC_TYPE) == desc_leaf(level) && !(desc & DESC_NS);
}

static inline RttHipas desc_hipas(uint64_t desc, int level)
{
    if (desc_is_table(desc, level)) {
        return RTT_TABLE;
    }
    if (desc & DESC_NS) {
        return desc & 1 ? RTT_ASSIGNED_NS : RTT_UNASSIGNED_NS;
    }
    return desc & 1 || DESC_HIPAS(desc) ? RTT_ASSIGNED : RTT_UNASSIGNED;
}

/* Of a protected leaf; a valid one is RAM. */
static inline RttRipas desc_ripas(uint64_t desc)
{
    return desc & 1 ? RTT_RAM : (RttRipas)DESC_RIPAS(desc);
}

static inline uint64_t desc_unassigned(RttRipas ripas)
{
    return DESC_OF_RIPAS(ripas);
}

/* RAM is dirty from its first moment. */
static inline uint64_t desc_assigned(const RmmRealm *realm, uint64_t pa,
                                     RttRipas ripas, int level)
{
    if (ripas == RTT_RAM) {
        return pa | DESC_RAM | desc_leaf(level) |
               (realm_has_lpa2(realm) ? 0 : DESC_SH_INNER);
    }
    return pa | DESC_ASSIGNED | DESC_OF_RIPAS(ripas);
}

/* Index of @ipa in its table at @level. */
static inline unsigned rtt_index(uint64_t ipa, int level)
{
    return ipa >> rtt_shift(level) & (RTT_ENTRIES - 1);
}

/* First IPA of the entry at @level that holds @ipa. */
static inline uint64_t rtt_entry_base(uint64_t ipa, int level)
{
    return ipa & ~(rtt_entry_bytes(level) - 1);
}

/*
 * Set S2AP[1] in the RAM leaf at @entry, which held @desc.  False if it is
 * RAM no more.
 */
static inline bool desc_set_dirty(uint64_t *entry, uint64_t desc, int level)
{
    while (!(desc & DESC_S2AP_W)) {
        if (!desc_is_ram(desc, level)) {
            return false;
        }
        if (desc_replace(entry, &desc, desc | DESC_S2AP_W)) {
            return true;
        }
    }
    return desc_is_ram(desc, level);
}

#endif
