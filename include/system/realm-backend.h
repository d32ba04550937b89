/*
 * The one seam between Realms and what runs them
 *
 * Purpose: RealmBackendOps is all that the machine and migration/realm/ know
 * of a Realm; accel/tcg/realm/ (the RMM model) and accel/kvm/realm/ (an RME
 * host) implement it.
 *
 * Invariants: blobs (offers, bundles) are opaque on this side.  A backend
 * checks every size that it is given.  A function that fails has changed
 * nothing and may be called again, unless @phase has changed or the function's
 * comment says that the failure is final.
 *
 * Lock rule: the caller holds the BQL, except where a comment says "any
 * thread".
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_REALM_BACKEND_H
#define SYSTEM_REALM_BACKEND_H

#include "qapi/qapi-types-realm.h"
#include "system/realm-phase.h"

#define REALM_RPV_SIZE 64
#define REALM_MEASUREMENT_SIZE 64
#define REALM_PAGE_SIZE 4096
#define REALM_LOG_SIZE (64 * 1024)      /* of the measurement log, in RAM */

/*
 * Which machines may take part in the Realm's migration; part of the initial
 * measurement.  The words are those of "Policy" in
 * docs/specs/realm-migration-stream.rst.  All zero is the default policy.
 */
#define REALM_MAX_ANCHORS 8
#define REALM_MAX_RULES 8
#define REALM_ANCHOR_SIZE 96    /* a point on P-384: X, then Y */
#define REALM_IMPLEMENTATION_SIZE 32

/* Whose platform tokens count */
typedef struct RealmAnchor {
    bool authority;             /* vouches for platform keys; else is one */
    uint8_t key[REALM_ANCHOR_SIZE];
} RealmAnchor;

typedef enum RealmRuleKind {
    REALM_RULE_SIGNER,          /* who signed the component, and since when */
    REALM_RULE_MEASUREMENT,     /* the component itself */
} RealmRuleKind;

/* Which software the other machine may consist of */
typedef struct RealmRule {
    RealmRuleKind kind;
    char type[24];              /* of the component; "": any that has no rule */
    uint8_t value_size;         /* 32, 48 or 64 */
    uint8_t value[64];
    uint32_t version[4];        /* SIGNER: the lowest */
} RealmRule;

typedef struct RealmPolicy {
    RmeGuestMigrationFeature compact; /* lengths may depend on contents */
    RmeGuestMigrationLifeCycle life_cycle;
    bool has_implementation;    /* their implementation id must be this */
    uint8_t implementation[REALM_IMPLEMENTATION_SIZE];
    unsigned num_anchors;
    RealmAnchor anchors[REALM_MAX_ANCHORS];
    unsigned num_rules;
    RealmRule rules[REALM_MAX_RULES];
} RealmPolicy;

/* What the user asked for; the machine fills it in before any vCPU exists. */
typedef struct RealmConfig {
    bool has_rpv;
    uint8_t rpv[REALM_RPV_SIZE];
    bool has_measurement_algorithm; /* else the backend may choose */
    RmeGuestMeasurementAlgorithm measurement_algorithm;
    RmeGuestKvmAbi kvm_abi;     /* which uAPI of Realms the kernel has */
    bool has_convert_in_place;  /* else as the kernel has it */
    bool convert_in_place;      /* both halves of RAM are in guest_memfd */
    bool migration;
    bool has_policy;
    RealmPolicy policy;
    bool mte;
    bool measurement_log;
    uint64_t log_base;          /* where it is, page aligned; 0: nowhere yet */
    uint8_t ipa_bits;           /* the shared bit is ipa_bits - 1 */
    uint64_t ram_base;          /* guest physical, page aligned */
    uint64_t ram_size;          /* bytes, page aligned */
    const char *cpu_type;
    unsigned num_cpus;
} RealmConfig;

/* Pages of 4 KiB, by who has them. */
typedef struct RealmPages {
    uint64_t private;           /* the Realm's alone */
    uint64_t lent;              /* the host's, mapped at unprotected IPAs */
    uint64_t empty;             /* given up by the Realm, not taken back */
    uint64_t untouched;         /* RAM that nobody has used yet */
    uint64_t dirty;             /* private ones, yet to be exported; of
                                   interest while a session exports */
} RealmPages;

/* Which optional features the vCPUs have. */
typedef struct RealmFeatures {
    unsigned sve_vl;            /* vector length in bits; 0 without SVE */
    bool pmu;
    unsigned pmu_num_ctrs;
} RealmFeatures;

/* The most bytes that @export_start may return. */
#define REALM_MAX_START_TOKEN 256

/* The most bytes of a ready record or a receipt. */
#define REALM_MAX_REPLY 256

/* What @prepare_migration draws, and an offer is for. */
#define REALM_NONCE_SIZE 32

/* Limits of a migration, constant once the Realm exists; any thread. */
typedef struct RealmMigrationLimits {
    size_t max_blob;            /* largest offer or bundle, in bytes */
    unsigned max_pages;         /* most pages in one memory bundle, >= 1 */
    unsigned max_streams;       /* of memory bundles side by side, >= 1 */
    size_t page_size;           /* the least that can be private, or shared, by
                                   itself: REALM_PAGE_SIZE or a host page */
} RealmMigrationLimits;

typedef struct RealmBackendOps {
    const char *name;

    /*
     * Life cycle.
     *
     * @prepare: find out what the host can do, and get ready for a Realm
     * like @config, which stays valid for the life of the machine.  Creates
     * no Realm.  Called once, before the first vCPU exists.
     *
     * @init_ripas: [@base, @base + @size) of the protected half, @size in
     * bytes and maybe 0, is RAM from the Realm's start on.  Called between
     * @prepare and @start, in ascending order; it stays so after @reset.
     *
     * @add_image: the loader wrote @size bytes to guest RAM at @base (after
     * each machine reset).  Bytes outside RAM are ignored.
     *
     * @start: the machine is about to run: the first time, and the first time
     * after @reset, build the Realm from its images, and start it.  After a
     * failure no vCPU may run: @park.
     *
     * @park: the machine is about to run, and no vCPU of it may, until the
     * machine has stopped.
     *
     * @stopped: no vCPU runs any more.
     *
     * @reset: the machine is about to be reset, and no vCPU runs.  The Realm
     * ends, with its session if it has one, and what it had is the host's
     * again.  Images are to be added anew.  If it is refused, nothing of the
     * machine is reset.
     *
     * @phase: where the Realm is; any thread.
     *
     * @measurement: the Realm's initial measurement; returns its size in
     * bytes, 0 while it is not known.
     *
     * @count_pages: what is mapped now; false if that is not known.
     *
     * @features: what the Realm was built with; false if that is not known.
     *
     * @capabilities: what a Realm can have here.  Also for machines that are
     * none, before @prepare and without it.  NULL if there can be no Realm.
     */
    bool (*prepare)(const RealmConfig *config, Error **errp);
    bool (*init_ripas)(uint64_t base, uint64_t size, Error **errp);
    void (*add_image)(uint64_t base, uint64_t size);
    bool (*start)(Error **errp);
    void (*park)(void);
    void (*stopped)(void);
    bool (*reset)(Error **errp);
    RealmPhase (*phase)(void);
    size_t (*measurement)(uint8_t value[REALM_MEASUREMENT_SIZE]);
    bool (*count_pages)(RealmPages *pages);
    bool (*features)(RealmFeatures *features);
    RealmCapabilities *(*capabilities)(Error **errp);

    void (*migration_limits)(RealmMigrationLimits *limits);

    /*
     * Migration, source.  @buf has room for max_blob bytes; a function that
     * emits a blob returns its size, or -1 with @errp set.
     *
     * @prepare_migration: draw a nonce, which the destination makes its offer
     * for.  The one that was drawn before serves no longer.
     *
     * @accept: take the destination's offer.  If it is refused, the nonce still
     * serves.
     *
     * @export_begin: open the session; the vCPUs go on.
     *
     * Steps are those of "One round" in docs/specs/realm-migration-stream.rst.
     *
     * @collect_dirty: begin a round (steps 1 and 2): set bit n of @bitmap (one
     * bit a page from ram_base on, little-endian host longs) for every page
     * that is yet to be exported, also those written since the round before.
     * Returns how many, or -1.
     *
     * @export_memory: export up to @n pages, given as page numbers from
     * ram_base on, in one bundle of @stream (below max_streams); pages that
     * need no export are left out, and if none is left 0 is returned.  Any
     * thread, and several at once on different streams.  Bundles of one stream
     * have to be imported in the order in which they were exported.
     *
     * @export_epoch: end the epoch (step 5).  From here on pages may be
     * collected, and exported again.
     *
     * @pause: no vCPU runs until @export_abort or @export_resume.
     *
     * @export_state: part @part of the Realm's state (0, 1, ...); 0 when
     * there is no such part.
     *
     * @export_start: after this token only the destination runs the Realm.
     * @ready is what its @import_ready gave last.  @buf has room for
     * REALM_MAX_START_TOKEN bytes.  May be repeated, and gives the same token;
     * @ready counts for nothing then.
     *
     * @export_abort: forget the session, or the offer.  Too late after
     * @export_start.
     *
     * @export_resume: after @export_start, with what @import_abort gave at
     * the destination: the Realm is here again.
     *
     * @export_finish: after @export_start, with what @import_receipt gave at
     * the destination: the Realm is there for good, and is wiped here.  May be
     * repeated if that fails half way.
     */
    bool (*prepare_migration)(uint8_t nonce[REALM_NONCE_SIZE], Error **errp);
    bool (*accept)(const void *offer, size_t size, Error **errp);
    ssize_t (*export_begin)(void *buf, Error **errp);
    int64_t (*collect_dirty)(unsigned long *bitmap, Error **errp);
    ssize_t (*export_memory)(unsigned stream, const uint64_t *pages,
                             unsigned n, void *buf, unsigned *exported,
                             Error **errp);
    ssize_t (*export_epoch)(void *buf, Error **errp);
    bool (*pause)(Error **errp);
    ssize_t (*export_state)(unsigned part, void *buf, Error **errp);
    ssize_t (*export_start)(const void *ready, size_t size, void *buf,
                            Error **errp);
    bool (*export_abort)(Error **errp);
    bool (*export_resume)(const void *token, size_t size, Error **errp);
    bool (*export_finish)(const void *receipt, size_t size, Error **errp);

    /*
     * Migration, destination.  A failed @import or @import_memory is final
     * for the session: this Realm will never run.
     *
     * @offer: make an offer for the nonce of the source's @prepare_migration;
     * returns its size.
     *
     * @import_memory: any thread, and several at once if their bundles are of
     * different streams.  Returns how many pages came, or -ECANCELED if the
     * session had failed before, so that this is not why, or -EIO.
     *
     * @import_ready: all but the start token is here, and the record that says
     * so goes to @buf (room for REALM_MAX_REPLY bytes).  Returns its size, or
     * -1.  May be repeated, also after a failure, unless that has ended the
     * import.
     *
     * @commit: all is here; this side runs the Realm from now on.
     *
     * @import_receipt: after @commit: the record that says so, as from
     * @import_ready.  May be repeated, as long as no other migration begins.
     *
     * @import_abort: this side never runs the Realm; the proof of it for the
     * source goes to @buf (room for max_blob bytes).  May be repeated, also
     * after a failure; refused after @commit.
     */
    ssize_t (*offer)(const uint8_t nonce[REALM_NONCE_SIZE], void *buf,
                     Error **errp);
    bool (*import)(const void *blob, size_t size, Error **errp);
    int (*import_memory)(const void *blob, size_t size, Error **errp);
    ssize_t (*import_ready)(void *buf, Error **errp);
    bool (*commit)(Error **errp);
    ssize_t (*import_receipt)(void *buf, Error **errp);
    ssize_t (*import_abort)(void *buf, Error **errp);
} RealmBackendOps;

/* This machine's backend and configuration, NULL if it is not a Realm. */
const RealmBackendOps *realm_backend(void);
const RealmConfig *realm_config(void);

/* As realm_backend; NULL with @errp set. */
const RealmBackendOps *realm_backend_needed(Error **errp);

/*
 * This machine is a Realm from now on, and @ops runs it; both stay valid for
 * its life.  Called once, before @prepare.  The rest of what makes a machine a
 * Realm is put together in hw/arm/realm/virt-realm.c.
 */
void realm_backend_set(const RealmBackendOps *ops, const RealmConfig *config);

/* Those there are; each where its accelerator is built. */
const RealmBackendOps *realm_tcg_backend(void);
const RealmBackendOps *realm_kvm_backend(void);

#endif
