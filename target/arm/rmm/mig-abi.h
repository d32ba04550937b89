/*
 * Realm migration: the calls, and what travels
 *
 * Purpose: everything that a host, or the RMM on the other side, may know of
 * a migration: function identifiers, causes of refusal, and the layout of
 * offers, session headers and bundles.  The document is
 * docs/specs/realm-migration-stream.rst; this is the only header with the
 * layout.
 *
 * Invariants:
 * - All fields are little endian, naturally aligned, and at the offset that
 *   stands beside them; the build checks sizes and the last offsets.
 * - Reserved fields are zero, and a receiver checks that.
 * - This is an extension (RMM 1.0 has no migration): without
 *   RmmPlatform.migration every call here answers SMCCC NOT_SUPPORTED.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_MIG_ABI_H
#define RMM_MIG_ABI_H

#include <stddef.h>
#include <stdint.h>

#include "rmm.h"

/*
 * Calls.  X0 is the identifier; the result is an RMI status word in X0:
 * status in bits [7:0]; in bits [15:8] the RTT level for RMI_ERROR_RTT, and
 * a MigCause for RMI_ERROR_REALM.  "buf, size" is Non-secure memory.
 *
 *                             in, from X1 on            out, from X1 on
 */
#define MIG_FID_BASE           0xC3000100u
enum {
    MIG_FEATURES        = 0, /* -                         version, max bundle
                                                          bytes, max pages,
                                                          feature bits       */
    MIG_OFFER           = 1, /* rd buf size nonce
                                (X4 to X7)                bytes              */
    MIG_ACCEPT          = 2, /* rd buf size               -                  */
    MIG_EXPORT_BEGIN    = 3, /* rd buf size               bytes              */
    MIG_COLLECT_DIRTY   = 4, /* rd base top bitmap        pages, or the IPA
                                                          of a block;
                                                          1: call again      */
    MIG_EXPORT_MEMORY   = 5, /* rd list count buf size
                                stream                    bytes, pages       */
    MIG_EXPORT_EPOCH    = 6, /* rd buf size               bytes              */
    MIG_PAUSE           = 7, /* rd                        -                  */
    MIG_EXPORT_REALM    = 8, /* rd buf size base          bytes, next base   */
    MIG_EXPORT_REC      = 9, /* rd rec buf size           bytes              */
    MIG_EXPORT_START    = 10, /* rd buf size ready        bytes              */
    MIG_EXPORT_ABORT    = 11, /* rd                       -                  */
    MIG_IMPORT          = 12, /* rd buf size              -                  */
    MIG_IMPORT_MEMORY   = 13, /* rd buf size granules
                                 count                    failing IPA        */
    MIG_IMPORT_COMMIT   = 14, /* rd                       IPA: failing, or
                                                          reached; 0: done   */
    MIG_IMPORT_ABORT    = 15, /* rd buf size              bytes              */
    MIG_SET_POLICY      = 16, /* rd buf size              -                  */
    MIG_EXPORT_RESUME   = 17, /* rd buf size              -                  */
    MIG_PREPARE         = 18, /* rd                       nonce (X1 to X4)   */
    MIG_IMPORT_READY    = 19, /* rd buf size              bytes, failing IPA */
    MIG_IMPORT_RECEIPT  = 20, /* rd buf size              bytes              */
    MIG_EXPORT_FINISH   = 21, /* rd buf size              1: call again      */
    MIG_NUM_CALLS       = 22,
};

/*
 * Version of the records: major << 8 | minor.  Another major is refused; a
 * session has the lower of the two minors.  Inside a major no layout
 * changes, and what is new is a feature bit, which both sides have to know.
 */
#define MIG_VERSION_MAJOR 2
#define MIG_VERSION_MINOR 0
#define MIG_VERSION       (MIG_VERSION_MAJOR << 8 | MIG_VERSION_MINOR)

/* Feature bits */
#define MIG_FEATURE_COMPACT (1ull << 0) /* tags in their shortest form */
#define MIG_FEATURE_ZERO    (1ull << 2) /* no data of a page of zeros */
#define MIG_FEATURES_KNOWN  (MIG_FEATURE_COMPACT | MIG_FEATURE_ZERO)

#define MIG_MAX_PAGES   512     /* in one memory bundle */
#define MIG_MAX_STREAMS 16
#define MIG_MAX_TOKEN   2048    /* bytes of platform token in a hello */
#define MIG_MAX_CERTIFICATES 4096       /* bytes of certificates behind it */
#define MIG_MAX_RUNS    (1u << 20)      /* in all parts of a map */
#define MIG_COMMIT_ENTRIES 4096 /* that one call of COMMIT or FINISH visits,
                                   and COLLECT_DIRTY below its range */

/* Seconds from PREPARE to ACCEPT, and from OFFER to the session header */
#define MIG_LIFETIME    600

/*
 * Why a call ended in RMI_ERROR_REALM.  Causes from MIG_CAUSE_FINAL on end
 * the session when an import call gives them: the Realm is then FAILED.
 */
typedef enum MigCause {
    MIG_CAUSE_STATE = 0,        /* not in a state that has this call */
    MIG_CAUSE_NOT_MIGRATABLE = 2, /* the Realm was created without the flag */
    MIG_CAUSE_OFFER_FORMAT,     /* not an offer of this version */
    MIG_CAUSE_OFFER_NONCE,      /* not for the nonce that was prepared */
    MIG_CAUSE_OFFER_OUTSTANDING, /* an offer is accepted already */
    MIG_CAUSE_OFFER_EXPIRED,    /* the nonce was prepared too long ago */
    MIG_CAUSE_SAME_EPOCH,       /* collecting needs an epoch token first */
    MIG_CAUSE_COUNTER,          /* a counter would wrap */
    MIG_CAUSE_RECS_RUNNING,     /* a REC is running */
    MIG_CAUSE_PAGES_DIRTY,      /* pages are dirty, or collected only */
    MIG_CAUSE_REALM_PART,       /* not the next part of the Realm state */
    MIG_CAUSE_REALM_MISSING,    /* Realm state is not exported completely */
    MIG_CAUSE_REC_MISSING,      /* a REC is not exported */
    MIG_CAUSE_REC_REPEATED,     /* this REC is exported already */
    MIG_CAUSE_REC_EXTRA,        /* a REC was created after the import */
    MIG_CAUSE_CONTEXT,          /* the processor context is not available */
    MIG_CAUSE_PAGE_MISSING,     /* X1: IPA of a page that never came */
    MIG_CAUSE_START_MISSING,    /* no start token yet */
    MIG_CAUSE_CIPHER,           /* the cryptographic library failed */
    MIG_CAUSE_POLICY_FORMAT,    /* not a policy */
    MIG_CAUSE_POLICY_SET,       /* the Realm has a policy already */
    MIG_CAUSE_PLATFORM_KEY,     /* this machine has no platform key */
    MIG_CAUSE_ABORT_FORMAT,     /* not an abort token */
    MIG_CAUSE_ABORT_OTHER,      /* an abort token for another offer */
    MIG_CAUSE_ABORT_SECRET,     /* the destination did not make this one */
    MIG_CAUSE_OWED,             /* an earlier record has to be taken first */
    MIG_CAUSE_REPLY_FORMAT,     /* not a ready record; not a receipt */
    MIG_CAUSE_REPLY_SEAL,       /* ...of the destination that was accepted */
    MIG_CAUSE_REPLY_OTHER,      /* ...about this moment of the session */
    MIG_CAUSE_MAP_RUNS,         /* the map has more than MIG_MAX_RUNS */

    MIG_CAUSE_FINAL = 64,
    /* The record itself */
    MIG_CAUSE_FORMAT = MIG_CAUSE_FINAL, /* malformed, or unknown version */
    MIG_CAUSE_AUTHENTICATION,   /* not what the source sealed */
    MIG_CAUSE_KEY,              /* the key exchange gave no secret */
    MIG_CAUSE_ORDER,            /* not the next of its stream */
    MIG_CAUSE_EPOCH,            /* of another epoch */
    MIG_CAUSE_TOTAL,            /* bundles of this epoch are missing */
    MIG_CAUSE_TYPE,             /* not a record for this call or phase */
    MIG_CAUSE_INCOMPLETE,       /* start token without RECs or Realm state */
    MIG_CAUSE_CONTEXT_REFUSED,  /* this machine cannot load the context */
    MIG_CAUSE_REC_UNKNOWN,      /* no REC with this MPIDR, or it came before */
    MIG_CAUSE_OTHER_OFFER,      /* the session answers another offer */
    /* The exchange: accepting an offer gives these too, and ends nothing */
    MIG_CAUSE_VERSION,          /* no version that both sides have */
    MIG_CAUSE_FEATURES,         /* features that were not offered */
    MIG_CAUSE_PEER_TOKEN,       /* the peer's token is malformed */
    MIG_CAUSE_PEER_SIGNATURE,   /* no key that the policy trusts signed it */
    MIG_CAUSE_PEER_CHALLENGE,   /* the token is about another exchange */
    MIG_CAUSE_PEER_PROFILE,     /* ...not of a CCA platform */
    MIG_CAUSE_PEER_LIFECYCLE,   /* ...of a platform that is not secured */
    MIG_CAUSE_PEER_IMPLEMENTATION, /* ...of another implementation */
    MIG_CAUSE_OWN_HELLO,        /* the peer has our own key or nonce */
    /* The record itself, again */
    MIG_CAUSE_PAGE_REPEATED,    /* a page twice in a bundle or an epoch */
    MIG_CAUSE_RECLAIMED,        /* the host took from the Realm what the session
                                   relied on; at the source EXPORT_ABORT goes */
    /* The exchange, again */
    MIG_CAUSE_EXPIRED,          /* the offer is too old */
    MIG_CAUSE_PEER_SOFTWARE,    /* the peer has software that no rule allows */
    /* How the Realm at the destination differs */
    MIG_CAUSE_DIFFERENT_IPA_WIDTH = 96,
    MIG_CAUSE_DIFFERENT_START_LEVEL,
    MIG_CAUSE_DIFFERENT_HASH_ALGORITHM,
    MIG_CAUSE_DIFFERENT_PERSONALIZATION_VALUE,
    MIG_CAUSE_DIFFERENT_MTE,
    MIG_CAUSE_DIFFERENT_FLAGS,
    MIG_CAUSE_DIFFERENT_SVE,
    MIG_CAUSE_DIFFERENT_BREAKPOINTS,
    MIG_CAUSE_DIFFERENT_WATCHPOINTS,
    MIG_CAUSE_DIFFERENT_PMU,
    MIG_CAUSE_DIFFERENT_NUM_RECS,
    MIG_CAUSE_DIFFERENT_POLICY,
} MigCause;

/* Types of record */
typedef enum MigType {
    MIG_TYPE_IMMUTABLE = 0,
    MIG_TYPE_MUTABLE = 1,
    MIG_TYPE_REC = 2,
    MIG_TYPE_MEMORY = 16,
    MIG_TYPE_EPOCH = 32,
    MIG_TYPE_START = 33,
    MIG_TYPE_ABORT = 34,        /* not sealed; proves itself */
    MIG_TYPE_READY = 35,        /* this and the next: under the back key */
    MIG_TYPE_RECEIPT = 36,
    MIG_TYPE_OFFER = 64,        /* not sealed */
    MIG_TYPE_SESSION = 65,      /* not sealed; bound through the keys */
} MigType;

#define MIG_MAGIC 0x4d4c4552    /* "RELM" */

/*
 * What an offer and a session header begin with; @token_size bytes of platform
 * token follow it, and @certs_size bytes of certificates end them.
 */
typedef struct MigHello {
    uint32_t magic;             /* 0x00 */
    uint16_t version;           /* 0x04: offered; session: the session's */
    uint8_t type;               /* 0x06 */
    uint8_t reserved0;          /* 0x07 */
    uint32_t size;              /* 0x08: of all of it */
    uint32_t token_size;        /* 0x0c: at most MIG_MAX_TOKEN */
    uint64_t features;          /* 0x10: offered; session: the session's */
    uint32_t certs_size;        /* 0x18: at most MIG_MAX_CERTIFICATES */
    uint32_t reserved1;         /* 0x1c */
    uint8_t public_key[32];     /* 0x20: X25519, for this session only */
    uint8_t nonce[32];          /* 0x40 */
    uint8_t peer_nonce[32];     /* 0x60: session: the offer's; offer: of
                                   MIG_PREPARE */
    uint8_t abort_lock[32];     /* 0x80: offer: SHA-256 of the abort secret;
                                   session: 0 */
    uint8_t platform_key[96];   /* 0xa0: P-384, X | Y: signs the token */
} MigHello;                     /* 0x100, then token and certificates */

#define MIG_MAX_HELLO \
    (sizeof(MigHello) + MIG_MAX_TOKEN + MIG_MAX_CERTIFICATES)

/*
 * Abort token: the destination gave up for good.  Nobody else knows the
 * secret of the offer's abort lock, so it needs no seal.
 */
typedef struct MigAbort {
    uint32_t magic;             /* 0x00 */
    uint16_t version;           /* 0x04: the offer's */
    uint8_t type;               /* 0x06 */
    uint8_t reserved0;          /* 0x07 */
    uint32_t size;              /* 0x08 */
    uint32_t reserved1;         /* 0x0c */
    uint8_t offer_nonce[32];    /* 0x10 */
    uint8_t secret[32];         /* 0x30 */
} MigAbort;                     /* 0x50 */

/*
 * What a Realm asks of the RMM that it migrates to or comes from.  Part of
 * its RIM (measurement.h).  The default: MIG_POLICY_VERSION, and else zero.
 */
#define MIG_MAX_ANCHORS 8
#define MIG_MAX_RULES   8

/* Whose platform tokens count */
typedef struct MigAnchor {
    uint8_t kind;               /* 0x00: MIG_ANCHOR_* */
    uint8_t reserved[7];        /* 0x01 */
    uint8_t key[96];            /* 0x08: P-384, X | Y */
} MigAnchor;                    /* 0x68 */

#define MIG_ANCHOR_KEY       1  /* signs the tokens */
#define MIG_ANCHOR_AUTHORITY 2  /* signs certificates of keys that do */

/* Which software the peer may consist of */
typedef struct MigRule {
    uint8_t kind;               /* 0x00: MIG_RULE_* */
    uint8_t value_size;         /* 0x01: 32, 48 or 64 */
    uint8_t reserved[6];        /* 0x02 */
    char type[24];              /* 0x08: of the component; zeros: any other */
    uint8_t value[64];          /* 0x20: signer's id, or measurement */
    uint32_t version[4];        /* 0x60: SIGNER: the lowest; else 0 */
} MigRule;                      /* 0x70 */

#define MIG_RULE_SIGNER      1
#define MIG_RULE_MEASUREMENT 2

typedef struct MigPolicy {
    uint32_t version;           /* 0x000: MIG_POLICY_VERSION */
    uint32_t flags;             /* 0x004: MIG_POLICY_* */
    uint32_t num_anchors;       /* 0x008: 0: only this RMM's platform key */
    uint32_t num_rules;         /* 0x00c */
    uint8_t implementation_id[32];      /* 0x010: 0 without the flag */
    uint64_t required;          /* 0x030: MIG_FEATURE_* of each session */
    uint64_t reserved;          /* 0x038 */
    MigAnchor anchors[MIG_MAX_ANCHORS]; /* 0x040: rest 0 */
    MigRule rules[MIG_MAX_RULES];       /* 0x380: rest 0 */
} MigPolicy;                    /* 0x700 */

#define MIG_POLICY_VERSION        2
#define MIG_POLICY_COMPACT        (1u << 0) /* lengths may tell of contents */
#define MIG_POLICY_SECURED        (1u << 1) /* life cycle 0x3000 to 0x30ff */
#define MIG_POLICY_IMPLEMENTATION (1u << 2) /* implementation_id and no other */
#define MIG_POLICY_ANY_LIFE_CYCLE (1u << 3) /* any, whatever this RMM's is */
#define MIG_POLICY_FLAGS \
    (MIG_POLICY_COMPACT | MIG_POLICY_SECURED | MIG_POLICY_IMPLEMENTATION | \
     MIG_POLICY_ANY_LIFE_CYCLE)

/*
 * Bundle: header, entries (memory only), body, then MIG_SEAL_SIZE bytes of
 * seal.  Header and entries are readable, body is not; all of it is
 * authenticated.
 */
typedef struct MigHeader {
    uint32_t magic;             /* 0x00 */
    uint16_t version;           /* 0x04 */
    uint8_t type;               /* 0x06 */
    uint8_t reserved0;          /* 0x07 */
    uint32_t size;              /* 0x08: of all of it, with the seal */
    uint16_t stream;            /* 0x0c */
    uint16_t reserved1;         /* 0x0e */
    uint64_t counter;           /* 0x10: bundles of this stream, this one too */
    uint64_t iv;                /* 0x18: uses of this stream's IV */
    uint32_t epoch;             /* 0x20: from 1 on */
    uint32_t count;             /* 0x24: memory: entries; else 0 */
    uint64_t total;             /* 0x28: tokens: bundles on all streams, this
                                   one too; ready, receipt: those received;
                                   else 0 */
} MigHeader;                    /* 0x30 */

#define MIG_SEAL_SIZE 16

/* Bytes of a bundle without entries and body: a token, ready, a receipt */
#define MIG_EMPTY_BUNDLE (sizeof(MigHeader) + MIG_SEAL_SIZE)

/* Entry of a memory bundle: IPA in [51:12], and bit 0; the rest is reserved */
#define MIG_ENTRY_IPA  0x000ffffffffff000ull
#define MIG_ENTRY_ZERO (1ull << 0)      /* with MIG_FEATURE_ZERO: no data */

/*
 * Body of a memory bundle, per entry: the page, unless MIG_ENTRY_ZERO says that
 * it is zero; then, with MTE, its tags
 */
#define MIG_PAGE_BYTES (RMM_GRANULE_SIZE + 1 + RMM_TAG_BYTES)
#define MIG_MAX_BUNDLE \
    (sizeof(MigHeader) + MIG_MAX_PAGES * (8 + MIG_PAGE_BYTES) + MIG_SEAL_SIZE)

/* MigImmutable.flags: RmiRealmFlags, and what the Realm has beyond RMM 1.0 */
#define MIG_FLAG_MIGRATION (1ull << 62)
#define MIG_FLAG_MTE       (1ull << 63)

/* Where the Realm has been, for itself to ask (rsi.c) */
typedef struct MigHistory {
    uint8_t instance_id[32];    /* 0x00 */
    uint64_t migrations;        /* 0x20: that it has gone through */
    uint16_t weakest_lifecycle; /* 0x28: of the platforms that it was on */
    uint8_t reserved0[6];       /* 0x2a */
    uint8_t weakest_implementation[32]; /* 0x30 */
    uint8_t reserved1[48];      /* 0x50 */
} MigHistory;                   /* 0x80 */

/* Immutable Realm state: what must be equal, then what is taken over */
typedef struct MigImmutable {
    uint64_t flags;             /* 0x00: RMI_REALM_* (rmm-abi.h), MIG_FLAG_* */
    uint8_t ipa_bits;           /* 0x08 */
    int8_t start_level;         /* 0x09 */
    uint8_t hash_algo;          /* 0x0a: as RmiRealmParams */
    uint8_t sve_vl;             /* 0x0b */
    uint8_t num_bps;            /* 0x0c */
    uint8_t num_wps;            /* 0x0d */
    uint8_t pmu_num_ctrs;       /* 0x0e */
    uint8_t reserved1;          /* 0x0f */
    uint32_t num_recs;          /* 0x10 */
    uint32_t reserved0[11];     /* 0x14 */
    uint8_t rpv[64];            /* 0x40 */
    uint8_t rim_base[64];       /* 0x80: the RIM before the policy */
    MigHistory history;         /* 0xc0: before this migration */
    MigPolicy policy;           /* 0x140 */
} MigImmutable;                 /* 0x840 */

/* Session header, alone as small and as large as it can be, and first bundle */
#define MIG_BEGIN_FIXED \
    (sizeof(MigHello) + sizeof(MigHeader) + sizeof(MigImmutable) + \
     MIG_SEAL_SIZE)
#define MIG_MAX_BEGIN \
    (MIG_BEGIN_FIXED + MIG_MAX_TOKEN + MIG_MAX_CERTIFICATES)

/*
 * Mutable Realm state: a part of the map of [base, top), in ascending order
 * and without holes; the first part begins at 0, the last one ends at the
 * end of protected IPA space.
 */
typedef struct MigMutable {
    uint64_t base;              /* 0x000 */
    uint64_t top;               /* 0x008 */
    uint32_t num_runs;          /* 0x010 */
    uint8_t realm_state;        /* 0x014: MIG_STATE_* */
    uint8_t reserved0[3];       /* 0x015 */
    uint64_t reserved1[5];      /* 0x018 */
    uint8_t rem[4][64];         /* 0x040 */
} MigMutable;                   /* 0x140, then the runs */

#define MIG_STATE_ACTIVE 0      /* no other can be exported */

/*
 * A run: start IPA in [51:12] with MIG_RUN_* below, and the IPA behind it.
 * ASSIGNED stands with RAM only: there is a page, and its contents travel.
 */
typedef struct MigRun {
    uint64_t start;             /* 0x00 */
    uint64_t top;               /* 0x08 */
} MigRun;                       /* 0x10 */

#define MIG_RUN_RIPAS    0x3ull /* 0 EMPTY, 1 RAM, 2 DESTROYED */
#define MIG_RUN_ASSIGNED 0x4ull

/* REC state; @context_size bytes of RmmOps.context_save follow it. */
typedef struct MigRec {
    uint64_t mpidr;             /* 0x000 */
    uint64_t pc;                /* 0x008 */
    uint64_t x[31];             /* 0x010 */
    uint64_t host_call_ipa;     /* 0x108 */
    uint64_t ripas_addr;        /* 0x110 */
    uint64_t ripas_top;         /* 0x118 */
    uint8_t runnable;           /* 0x120: 0 or 1 */
    uint8_t pending;            /* 0x121: 0 none, 1 PSCI, 2 RIPAS, 3 host;
                                 * 0 if not runnable */
    uint8_t ripas_value;        /* 0x122: 0 EMPTY, 1 RAM */
    uint8_t change_destroyed;   /* 0x123: 0 or 1 */
    uint32_t context_size;      /* 0x124: at most RMM_MAX_CONTEXT */
    uint64_t abort_esr;         /* 0x128: ESR_EL2 of the last exit, */
    uint64_t abort_far;         /* 0x130: FAR_EL2, */
    uint8_t abort;              /* 0x138: if it was an abort of this kind:
                                   0 none, 1 unprotected, 2 emulatable,
                                   3 external */
    uint8_t reserved0[7];       /* 0x139 */
} MigRec;                       /* 0x140, then the context */

_Static_assert(sizeof(MigHello) == 0x100 &&
               offsetof(MigHello, features) == 0x10 &&
               offsetof(MigHello, platform_key) == 0xa0, "layout of MigHello");
_Static_assert(sizeof(MigAbort) == 0x50 &&
               offsetof(MigAbort, secret) == 0x30, "layout of MigAbort");
_Static_assert(sizeof(MigAnchor) == 0x68 && sizeof(MigRule) == 0x70 &&
               offsetof(MigRule, version) == 0x60, "layout of MigRule");
_Static_assert(sizeof(MigPolicy) == 0x700 &&
               offsetof(MigPolicy, anchors) == 0x40 &&
               offsetof(MigPolicy, rules) == 0x380, "layout of MigPolicy");
_Static_assert(sizeof(MigHeader) == 0x30 &&
               offsetof(MigHeader, total) == 0x28, "layout of MigHeader");
_Static_assert(sizeof(MigHistory) == 0x80 &&
               offsetof(MigHistory, weakest_implementation) == 0x30,
               "layout of MigHistory");
_Static_assert(sizeof(MigImmutable) == 0x840 &&
               offsetof(MigImmutable, rim_base) == 0x80 &&
               offsetof(MigImmutable, history) == 0xc0 &&
               offsetof(MigImmutable, policy) == 0x140,
               "layout of MigImmutable");
_Static_assert(sizeof(MigMutable) == 0x140 &&
               offsetof(MigMutable, rem) == 0x40, "layout of MigMutable");
_Static_assert(sizeof(MigRun) == 0x10, "layout of MigRun");
_Static_assert(sizeof(MigRec) == 0x140 && offsetof(MigRec, runnable) == 0x120 &&
               offsetof(MigRec, context_size) == 0x124 &&
               offsetof(MigRec, abort_esr) == 0x128 &&
               offsetof(MigRec, abort) == 0x138, "layout of MigRec");

/*
 * For hosts: read the IPAs of a memory bundle, so that the host can prepare
 * granules and tables before it imports the bundle.  Nothing is authenticated
 * yet, and need not be: the import refuses what the host prepared wrongly.
 * Returns how many IPAs it wrote to @ipas (room for MIG_MAX_PAGES), or 0 if
 * @bundle cannot be a memory bundle.
 */
static inline size_t mig_peek_entries(const void *bundle, size_t size,
                                      uint64_t *ipas)
{
    const uint8_t *b = bundle, *e = b + sizeof(MigHeader);
    size_t count;

    if (size < sizeof(MigHeader) + MIG_SEAL_SIZE || b[6] != MIG_TYPE_MEMORY) {
        return 0;
    }
    count = b[0x24] | b[0x25] << 8 | (size_t)b[0x26] << 16 |
            (size_t)b[0x27] << 24;
    if (count > MIG_MAX_PAGES ||
        count * 8 > size - sizeof(MigHeader) - MIG_SEAL_SIZE) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t entry = 0;

        for (int byte = 7; byte >= 0; byte--) {
            entry = entry << 8 | e[i * 8 + byte];
        }
        ipas[i] = entry & MIG_ENTRY_IPA;
    }
    return count;
}

/* Whether entry @i, which mig_peek_entries has found, says that it is zero */
static inline bool mig_peek_zero(const void *bundle, size_t i)
{
    const uint8_t *b = bundle;

    return b[sizeof(MigHeader) + 8 * i] & MIG_ENTRY_ZERO;
}

#endif
