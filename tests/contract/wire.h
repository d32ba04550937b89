/*
 * The contract of RealmBackendOps: requests to a machine
 *
 * Purpose: what machine.c sends to servant.c, and the answer.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_CONTRACT_WIRE_H
#define TESTS_CONTRACT_WIRE_H

#include "contract.h"

/*      name            what arg[] is */
#define CONTRACT_CALLS(CALL) \
    CALL(INIT_RIPAS,    "init_ripas")       /* base, size */ \
    CALL(ADD_IMAGE,     "add_image")        /* base, size */ \
    CALL(START,         "start") \
    CALL(PARK,          "park") \
    CALL(STOPPED,       "stopped") \
    CALL(RESET,         "reset") \
    CALL(PHASE,         "phase") \
    CALL(MEASUREMENT,   "measurement") \
    CALL(COUNT_PAGES,   "count_pages") \
    CALL(FEATURES,      "features") \
    CALL(CAPABILITIES,  "capabilities") \
    CALL(LIMITS,        "migration_limits") \
    CALL(PREPARE,       "prepare_migration") \
    CALL(ACCEPT,        "accept")           /* blob */ \
    CALL(EXPORT_BEGIN,  "export_begin") \
    CALL(COLLECT_DIRTY, "collect_dirty") \
    CALL(EXPORT_MEMORY, "export_memory")    /* stream; blob: page numbers */ \
    CALL(EXPORT_EPOCH,  "export_epoch") \
    CALL(PAUSE,         "pause") \
    CALL(EXPORT_STATE,  "export_state")     /* part */ \
    CALL(EXPORT_START,  "export_start")     /* blob: ready record */ \
    CALL(EXPORT_ABORT,  "export_abort") \
    CALL(EXPORT_RESUME, "export_resume")    /* blob */ \
    CALL(EXPORT_FINISH, "export_finish")    /* blob: receipt */ \
    CALL(OFFER,         "offer")            /* blob: nonce */ \
    CALL(IMPORT,        "import")           /* blob */ \
    CALL(IMPORT_MEMORY, "import_memory")    /* blob */ \
    CALL(IMPORT_READY,  "import_ready") \
    CALL(COMMIT,        "commit") \
    CALL(IMPORT_RECEIPT, "import_receipt") \
    CALL(IMPORT_ABORT,  "import_abort") \
    /* Not of the contract, but of the machine around it */ \
    CALL(HOST_READ,     "the host reads")   /* address */ \
    CALL(HOST_WRITE,    "the host writes")  /* address, value */ \
    CALL(GUEST_READ,    "the guest reads")  /* IPA */ \
    CALL(GUEST_WRITE,   "the guest writes") /* IPA, value */ \
    CALL(GUEST_RIPAS,   "the guest sets RIPAS") /* base, top, RAM */

typedef enum ContractCall {
#define ENUM(name, text) CALL_##name,
    CONTRACT_CALLS(ENUM)
#undef ENUM
    CALL_COUNT
} ContractCall;

typedef struct ContractRequest {
    uint32_t call;
    uint32_t blob_size;         /* bytes that follow */
    uint64_t arg[3];
} ContractRequest;

typedef struct ContractAnswer {
    uint32_t ok;
    uint32_t error_size;        /* bytes that follow */
    uint32_t blob_size;         /* bytes that follow these */
    uint32_t extra;             /* exported or imported pages, faults;
                                   refused import: 1 if for another's sake */
    int64_t value;
} ContractAnswer;

/* The life of a machine's process: until @fd is closed at the other end. */
G_NORETURN void contract_serve(int fd, const ContractHarness *harness);

#endif
