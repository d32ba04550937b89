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
#define DESC_S2AP_R     (1ull << 6)
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

/*
 * Software bits, 58:55.  Every meaning stands here:
 *
 *   55     NS         entries of the unprotected half, but for tables
 *   57:56  OWNERSHIP  RttOwnership; leaves that are ASSIGNED, ASSIGNED_NS
 *   58     PENDING    leaves that are ASSIGNED with RIPAS RAM
 *
 * They are 0 in all other entries.
 */
#define DESC_SOFTWARE   (0xfull << 55)
#define DESC_NS         (1ull << 55)
#define DESC_OWNERSHIP  (3ull << 56)
#define DESC_PENDING    (1ull << 58)

/* What the hardware reads in a valid leaf, and what the host may write. */
#define DESC_HARDWARE   (DESC_TYPE | DESC_PA | DESC_RAM | DESC_SH_INNER | \
                         DESC_DBM | DESC_XN | DESC_NS_HOST_LPA2)

/* A sum has other bits than the union if two terms share one. */
_Static_assert(DESC_NS + DESC_OWNERSHIP + DESC_PENDING == DESC_SOFTWARE,
               "each software bit has one meaning");
_Static_assert((DESC_SOFTWARE & DESC_HARDWARE) == 0,
               "software bits are not the hardware's, nor the host's");

/* The bits of a RAM leaf that only say whether it is dirty. */
#define DESC_DIRTY_STATE (DESC_S2AP_W | DESC_DBM | DESC_PENDING)

/* The same at the destination, of a page that came in this epoch. */
#define DESC_ARRIVED    DESC_DIRTY_STATE

/* Invalid entry. */
#define DESC_ASSIGNED   (1ull << 2)
#define DESC_HIPAS(d)   ((d) >> 2 & 7)
#define DESC_RIPAS(d)   ((d) >> 5 & 3)
#define DESC_OF_RIPAS(r) ((uint64_t)(r) << 5)

static inline uint64_t desc_load(const uint64_t *entry)
{
    return __atomic_load_n(entry, __ATOMIC_SEQ_CST);
}

/* An entry of a table that no walker can reach yet. */
static inline void desc_init(uint64_t *entry, uint64_t desc)
{
    __atomic_store_n(entry, desc, __ATOMIC_RELAXED);
}

/*
 * Replace @entry, which held *@old, by @desc: every walker that enters from
 * now on sees @desc.  False, with *@old as it is now, if it held another.
 */
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

/* Who owns the memory that such an entry names: nothing else decides it. */
static inline RttOwnership ownership_of(RttHipas hipas, RttRipas ripas)
{
    if (hipas == RTT_ASSIGNED_NS) {
        return RTT_LENT;
    }
    if (hipas != RTT_ASSIGNED || ripas == RTT_DESTROYED) {
        return RTT_NOBODYS;
    }
    return ripas == RTT_RAM ? RTT_OWNED : RTT_EMPTIED;
}

/* The bits for @ownership; none if nobody owns the memory. */
static inline uint64_t desc_of_ownership(RttOwnership ownership)
{
    return ownership == RTT_NOBODYS ? 0 : (uint64_t)ownership << 56;
}

/* What the bits of a leaf say; the same as ownership_of, at all times. */
static inline RttOwnership desc_ownership(uint64_t desc, int level)
{
    RttHipas hipas = desc_hipas(desc, level);

    if ((hipas == RTT_ASSIGNED && desc_ripas(desc) != RTT_DESTROYED) ||
        hipas == RTT_ASSIGNED_NS) {
        return (RttOwnership)((desc & DESC_OWNERSHIP) >> 56);
    }
    return RTT_NOBODYS;
}

static inline uint64_t desc_unassigned(RttRipas ripas)
{
    return DESC_OF_RIPAS(ripas);
}

/* RAM is dirty from its first moment. */
static inline uint64_t desc_assigned(const RmmRealm *realm, uint64_t pa,
                                     RttRipas ripas, int level)
{
    uint64_t desc = pa | desc_of_ownership(ownership_of(RTT_ASSIGNED, ripas));

    if (ripas == RTT_RAM) {
        return desc | DESC_RAM | desc_leaf(level) |
               (realm_has_lpa2(realm) ? 0 : DESC_SH_INNER);
    }
    return desc | DESC_ASSIGNED | DESC_OF_RIPAS(ripas);
}

/*
 * @host is what the host chose.  Write-back memory is coherent in the inner
 * domain, the rest further (without LPA2, which has no SH).
 */
static inline uint64_t desc_assigned_ns(const RmmRealm *realm, uint64_t host,
                                        int level)
{
    uint64_t desc = host | DESC_NS | DESC_XN | DESC_AF | desc_leaf(level) |
                    desc_of_ownership(RTT_LENT);

    if (realm_has_lpa2(realm)) {
        return desc;
    }
    return desc | (DESC_NS_ATTR(host) >= 6 ? DESC_SH_INNER : DESC_SH_OUTER);
}

/* Output address of a leaf of the unprotected half. */
static inline uint64_t desc_ns_pa(uint64_t desc, bool lpa2)
{
    return (desc & DESC_PA) | (lpa2 ? (desc >> 8 & 3) << 50 : 0);
}

/* First IPA of the entry at @level that holds @ipa. */
static inline uint64_t rtt_entry_base(uint64_t ipa, int level)
{
    return ipa & ~(rtt_entry_bytes(level) - 1);
}

/*
 * Try once to change bits of DESC_DIRTY_STATE in the RAM leaf at @entry, which
 * held *@desc.  True: *@desc is the new descriptor.  False, with *@desc as it
 * is now, if the entry held another descriptor.  False, with *@desc as it was,
 * if the leaf is not RAM, or for other bits.
 */
static inline bool desc_change_dirty(uint64_t *entry, uint64_t *desc,
                                     int level, uint64_t clear, uint64_t set)
{
    uint64_t next = (*desc & ~clear) | set;

    if (!desc_is_ram(*desc, level) || ((clear | set) & ~DESC_DIRTY_STATE) ||
        !desc_replace(entry, desc, next)) {
        return false;
    }
    *desc = next;
    return true;
}

/*
 * Add @permissions to the RAM leaf at @entry, which held *@desc, as a walker
 * does.  It takes none away.  False if the leaf is RAM no more, or for another
 * permission than S2AP[1], which is the only one that such a leaf may lack.
 */
static inline bool desc_relax(uint64_t *entry, uint64_t *desc, int level,
                              uint64_t permissions)
{
    if (permissions & ~DESC_S2AP_W) {
        return false;
    }
    while (desc_is_ram(*desc, level)) {
        if ((*desc & permissions) == permissions ||
            desc_change_dirty(entry, desc, level, 0, permissions)) {
            return true;
        }
    }
    return false;
}

#endif
