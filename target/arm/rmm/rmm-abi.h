/*
 * Numbers and structure layouts of RMI, RSI and PSCI
 *
 * Purpose: the binary interface of the RMM as its two callers see it, in one
 * place: RMM 1.0-rel0, and below it what this model adds.
 *
 * Invariants: offsets stand in the comments and are checked at build time;
 * every field is little-endian; reserved bytes are zero in what the RMM
 * writes and ignored in what it reads.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_ABI_H
#define RMM_ABI_H

#include <stddef.h>
#include <stdint.h>

/* RMI function identifiers (RMM 1.0, B4.3); 06, 10 and 13 are not used. */
#define RMI_FID(n)                  (0xC4000150u + (n))
#define RMI_VERSION                 RMI_FID(0x00)
#define RMI_GRANULE_DELEGATE        RMI_FID(0x01)
#define RMI_GRANULE_UNDELEGATE      RMI_FID(0x02)
#define RMI_DATA_CREATE             RMI_FID(0x03)
#define RMI_DATA_CREATE_UNKNOWN     RMI_FID(0x04)
#define RMI_DATA_DESTROY            RMI_FID(0x05)
#define RMI_REALM_ACTIVATE          RMI_FID(0x07)
#define RMI_REALM_CREATE            RMI_FID(0x08)
#define RMI_REALM_DESTROY           RMI_FID(0x09)
#define RMI_REC_CREATE              RMI_FID(0x0A)
#define RMI_REC_DESTROY             RMI_FID(0x0B)
#define RMI_REC_ENTER               RMI_FID(0x0C)
#define RMI_RTT_CREATE              RMI_FID(0x0D)
#define RMI_RTT_DESTROY             RMI_FID(0x0E)
#define RMI_RTT_MAP_UNPROTECTED     RMI_FID(0x0F)
#define RMI_RTT_READ_ENTRY          RMI_FID(0x11)
#define RMI_RTT_UNMAP_UNPROTECTED   RMI_FID(0x12)
#define RMI_PSCI_COMPLETE           RMI_FID(0x14)
#define RMI_FEATURES                RMI_FID(0x15)
#define RMI_RTT_FOLD                RMI_FID(0x16)
#define RMI_REC_AUX_COUNT           RMI_FID(0x17)
#define RMI_RTT_INIT_RIPAS          RMI_FID(0x18)
#define RMI_RTT_SET_RIPAS           RMI_FID(0x19)

/* RSI function identifiers (RMM 1.0, B5.3). */
#define RSI_FID(n)                  (0xC4000190u + (n))
#define RSI_VERSION                 RSI_FID(0x00)
#define RSI_FEATURES                RSI_FID(0x01)
#define RSI_MEASUREMENT_READ        RSI_FID(0x02)
#define RSI_MEASUREMENT_EXTEND      RSI_FID(0x03)
#define RSI_ATTESTATION_TOKEN_INIT  RSI_FID(0x04)
#define RSI_ATTESTATION_TOKEN_CONTINUE RSI_FID(0x05)
#define RSI_REALM_CONFIG            RSI_FID(0x06)
#define RSI_IPA_STATE_SET           RSI_FID(0x07)
#define RSI_IPA_STATE_GET           RSI_FID(0x08)
#define RSI_HOST_CALL               RSI_FID(0x09)

/*
 * What a Realm can ask beyond RSI 1.0: a feature register, with the bits of
 * RMI_FEATURES_EXT that the Realm was created with; and with the migration
 * extension, where it has been: SMC64, OEM service, as the calls of that.
 */
#define RSI_FEATURES_EXT            0xC3000100u
#define RSI_MIGRATION_HISTORY       0xC3000180u

/* SMCCC and PSCI; bit 30 of a PSCI number makes it the SMC64 form. */
#define SMCCC_FID_VERSION           0x80000000u
#define SMCCC_FID_ARCH_FEATURES     0x80000001u
#define SMCCC_VERSION_1_2           0x10002u
#define SMCCC_NOT_SUPPORTED         UINT64_MAX
#define SMCCC_SVE_HINT              (1u << 16)
#define PSCI_FID_32(n)              (0x84000000u + (n))
#define PSCI_FID_64(n)              (0xC4000000u + (n))
#define PSCI_FID_VERSION            PSCI_FID_32(0)
#define PSCI_FID_CPU_SUSPEND        PSCI_FID_64(1)
#define PSCI_FID_CPU_OFF            PSCI_FID_32(2)
#define PSCI_FID_CPU_ON             PSCI_FID_64(3)
#define PSCI_FID_AFFINITY_INFO      PSCI_FID_64(4)
#define PSCI_FID_SYSTEM_OFF         PSCI_FID_32(8)
#define PSCI_FID_SYSTEM_RESET       PSCI_FID_32(9)
#define PSCI_FID_FEATURES           PSCI_FID_32(10)
#define PSCI_VERSION_1_1            0x10001u

/* PSCI return codes, as they stand in a 64-bit register. */
#define PSCI_SUCCESS                ((uint64_t)0)
#define PSCI_NOT_SUPPORTED          ((uint64_t)-1)
#define PSCI_INVALID_PARAMETERS     ((uint64_t)-2)
#define PSCI_DENIED                 ((uint64_t)-3)
#define PSCI_ALREADY_ON             ((uint64_t)-4)
#define PSCI_INVALID_ADDRESS        ((uint64_t)-9)
#define PSCI_AFFINITY_ON            ((uint64_t)0)
#define PSCI_AFFINITY_OFF           ((uint64_t)1)

/* Version word of RMI and of RSI: major in bits 30:16, minor in 15:0. */
#define RMM_ABI_VERSION_1_0         0x10000u

/*
 * RMI result word: status in bits 7:0, index in 15:8, the rest zero (RMM 1.0,
 * B4.4.1).  An index may be a level, -1 included.
 */
#define RMI_SUCCESS                 0u
#define RMI_ERROR_INPUT             1u
#define RMI_ERROR_REALM             2u
#define RMI_ERROR_REC               3u
#define RMI_ERROR_RTT               4u
#define RMI_RESULT(status, index) \
    ((uint64_t)(status) | (uint64_t)((index) & 0xff) << 8)
#define RMI_STATUS(result)          ((unsigned)((result) & 0xff))
#define RMI_INDEX(result)           ((unsigned)((result) >> 8 & 0xff))

#define RSI_SUCCESS                 0u
#define RSI_ERROR_INPUT             1u
#define RSI_ERROR_STATE             2u
#define RSI_INCOMPLETE              3u
#define RSI_ERROR_UNKNOWN           4u
#define RSI_ACCEPT                  0u
#define RSI_REJECT                  1u
#define RSI_CHANGE_DESTROYED        1u      /* flag of IPA_STATE_SET */

/* RmiRipas / RsiRipas, and RmiRttEntryState as READ_ENTRY reports it. */
#define RMI_RIPAS_EMPTY             0u
#define RMI_RIPAS_RAM               1u
#define RMI_RIPAS_DESTROYED         2u
#define RMI_UNASSIGNED              0u
#define RMI_ASSIGNED                1u
#define RMI_TABLE                   2u

#define RMI_HASH_SHA_256            0u
#define RMI_HASH_SHA_512            1u
#define RMI_DATA_MEASURE            1u      /* flag of DATA_CREATE */

/* RmiFeatureRegister0 (RMM 1.0, B4.4.4). */
#define RMI_FEATURE0_S2SZ_SHIFT         0
#define RMI_FEATURE0_LPA2               (1ull << 8)
#define RMI_FEATURE0_SVE_EN             (1ull << 9)
#define RMI_FEATURE0_SVE_VL_SHIFT       10
#define RMI_FEATURE0_NUM_BPS_SHIFT      14
#define RMI_FEATURE0_NUM_WPS_SHIFT      20
#define RMI_FEATURE0_PMU_EN             (1ull << 26)
#define RMI_FEATURE0_PMU_NUM_CTRS_SHIFT 27
#define RMI_FEATURE0_SHA_256            (1ull << 32)
#define RMI_FEATURE0_SHA_512            (1ull << 33)
#define RMI_FEATURE0_NUM_LRS_SHIFT      34
#define RMI_FEATURE0_MAX_RECS_ORDER_SHIFT 38

/*
 * What this RMM has beyond RMM 1.0: a feature register of its own.  1.0 knows
 * no register but 0, and answers every other index with zero, so a host may
 * ask any RMM.  Later versions count up from 1; this index is the number of
 * the first call of the migration extension.
 */
#define RMI_FEATURES_EXT                0xC3000100u
#define RMI_FEATURE_EXT_MIGRATION       (1ull << 0)
#define RMI_FEATURE_EXT_MTE             (1ull << 1)

/* RmiRealmFlags */
#define RMI_REALM_LPA2              (1ull << 0)
#define RMI_REALM_SVE               (1ull << 1)
#define RMI_REALM_PMU               (1ull << 2)

/*
 * RmiRealmParams.ext_flags: the same bits as of the feature register, and no
 * others.  The word is measured, at its place in the page, so what a Realm has
 * beyond 1.0 is visible in the RIM; without any, the RIM is 1.0's.
 */
#define RMI_REALM_EXT_MIGRATION     (1ull << 0)
#define RMI_REALM_EXT_MTE           (1ull << 1)
#define RMI_REALM_EXT_KNOWN         (RMI_REALM_EXT_MIGRATION | \
                                     RMI_REALM_EXT_MTE)

#define RMI_REC_RUNNABLE            (1ull << 0)

/* Calls of the migration extension: SMC64, OEM service (mig-abi.h). */
#define RMM_MIG_FID_FIRST           0xC3000100u
#define RMM_MIG_FID_LAST            0xC30001FFu

typedef struct RmiRealmParams {
    uint64_t flags;                 /* 0x000 */
    uint64_t s2sz;                  /* 0x008, 8 bits are used */
    uint64_t sve_vl;                /* 0x010, 8 bits */
    uint64_t num_bps;               /* 0x018, minus one */
    uint64_t num_wps;               /* 0x020, minus one */
    uint64_t pmu_num_ctrs;          /* 0x028 */
    uint64_t hash_algo;             /* 0x030, 8 bits */
    uint8_t res_038[0x3f8 - 0x038];
    uint64_t ext_flags;             /* 0x3f8, ours: SBZ in RMM 1.0 */
    uint8_t rpv[64];                /* 0x400 */
    uint8_t res_440[0x800 - 0x440];
    uint64_t vmid;                  /* 0x800, 16 bits */
    uint64_t rtt_base;              /* 0x808 */
    int64_t rtt_level_start;        /* 0x810 */
    uint32_t rtt_num_start;         /* 0x818 */
    uint8_t res_81c[0x1000 - 0x81c];
} RmiRealmParams;

typedef struct RmiRecParams {
    uint64_t flags;                 /* 0x000, RMI_REC_RUNNABLE */
    uint8_t res_008[0x100 - 0x008];
    uint64_t mpidr;                 /* 0x100 */
    uint8_t res_108[0x200 - 0x108];
    uint64_t pc;                    /* 0x200 */
    uint8_t res_208[0x300 - 0x208];
    uint64_t gprs[8];               /* 0x300 */
    uint8_t res_340[0x800 - 0x340];
    uint64_t num_aux;               /* 0x800 */
    uint64_t aux[16];               /* 0x808 */
    uint8_t res_888[0x1000 - 0x888];
} RmiRecParams;

/* RmiRecEnterFlags */
#define RMI_ENTER_EMUL_MMIO         (1u << 0)
#define RMI_ENTER_INJECT_SEA        (1u << 1)
#define RMI_ENTER_TRAP_WFI          (1u << 2)
#define RMI_ENTER_TRAP_WFE          (1u << 3)
#define RMI_ENTER_RIPAS_REJECT      (1u << 4)

/* RmiRecExitReason */
#define RMI_EXIT_SYNC               0u
#define RMI_EXIT_IRQ                1u
#define RMI_EXIT_FIQ                2u
#define RMI_EXIT_PSCI               3u
#define RMI_EXIT_RIPAS_CHANGE       4u
#define RMI_EXIT_HOST_CALL          5u
#define RMI_EXIT_SERROR             6u

typedef struct RmiRecEnter {
    uint64_t flags;                 /* 0x000 */
    uint8_t res_008[0x200 - 0x008];
    uint64_t gprs[31];              /* 0x200 */
    uint8_t res_2f8[0x300 - 0x2f8];
    uint64_t gicv3_hcr;             /* 0x300 */
    uint64_t gicv3_lrs[16];         /* 0x308 */
    uint8_t res_388[0x800 - 0x388];
} RmiRecEnter;

typedef struct RmiRecExit {
    uint64_t exit_reason;           /* 0x000, 8 bits */
    uint8_t res_008[0x100 - 0x008];
    uint64_t esr;                   /* 0x100 */
    uint64_t far;                   /* 0x108 */
    uint64_t hpfar;                 /* 0x110 */
    uint8_t res_118[0x200 - 0x118];
    uint64_t gprs[31];              /* 0x200 */
    uint8_t res_2f8[0x300 - 0x2f8];
    uint64_t gicv3_hcr;             /* 0x300 */
    uint64_t gicv3_lrs[16];         /* 0x308 */
    uint64_t gicv3_misr;            /* 0x388 */
    uint64_t gicv3_vmcr;            /* 0x390 */
    uint8_t res_398[0x400 - 0x398];
    uint64_t cntp_ctl;              /* 0x400 */
    uint64_t cntp_cval;             /* 0x408 */
    uint64_t cntv_ctl;              /* 0x410 */
    uint64_t cntv_cval;             /* 0x418 */
    uint8_t res_420[0x500 - 0x420];
    uint64_t ripas_base;            /* 0x500 */
    uint64_t ripas_top;             /* 0x508 */
    uint64_t ripas_value;           /* 0x510, 8 bits */
    uint8_t res_518[0x600 - 0x518];
    uint64_t imm;                   /* 0x600, 16 bits */
    uint8_t res_608[0x700 - 0x608];
    uint64_t pmu_ovf_status;        /* 0x700, 8 bits */
    uint8_t res_708[0x800 - 0x708];
} RmiRecExit;

typedef struct RmiRecRun {
    RmiRecEnter enter;              /* 0x000 */
    RmiRecExit exit;                /* 0x800 */
} RmiRecRun;

typedef struct RsiRealmConfig {
    uint64_t ipa_width;             /* 0x000 */
    uint64_t hash_algo;             /* 0x008, 8 bits */
    uint8_t res_010[0x200 - 0x010];
    uint8_t rpv[64];                /* 0x200 */
    uint8_t res_240[0x1000 - 0x240];
} RsiRealmConfig;

typedef struct RsiHostCall {
    uint64_t imm;                   /* 0x00, 16 bits */
    uint64_t gprs[31];              /* 0x08 */
} RsiHostCall;

#define ABI_AT(type, member, offset) \
    _Static_assert(offsetof(type, member) == (offset), #type "." #member)
#define ABI_SIZE(type, size) \
    _Static_assert(sizeof(type) == (size), #type)

ABI_AT(RmiRealmParams, hash_algo, 0x030);
ABI_AT(RmiRealmParams, ext_flags, 0x3f8);
ABI_AT(RmiRealmParams, rpv, 0x400);
ABI_AT(RmiRealmParams, vmid, 0x800);
ABI_AT(RmiRealmParams, rtt_num_start, 0x818);
ABI_AT(RmiRecParams, mpidr, 0x100);
ABI_AT(RmiRecParams, pc, 0x200);
ABI_AT(RmiRecParams, gprs, 0x300);
ABI_AT(RmiRecParams, aux, 0x808);
ABI_AT(RmiRecEnter, gprs, 0x200);
ABI_AT(RmiRecEnter, gicv3_hcr, 0x300);
ABI_AT(RmiRecExit, esr, 0x100);
ABI_AT(RmiRecExit, gprs, 0x200);
ABI_AT(RmiRecExit, gicv3_hcr, 0x300);
ABI_AT(RmiRecExit, gicv3_vmcr, 0x390);
ABI_AT(RmiRecExit, cntp_ctl, 0x400);
ABI_AT(RmiRecExit, ripas_base, 0x500);
ABI_AT(RmiRecExit, imm, 0x600);
ABI_AT(RmiRecExit, pmu_ovf_status, 0x700);
ABI_AT(RmiRecRun, exit, 0x800);
ABI_AT(RsiRealmConfig, rpv, 0x200);
ABI_SIZE(RmiRealmParams, 0x1000);
ABI_SIZE(RmiRecParams, 0x1000);
ABI_SIZE(RmiRecEnter, 0x800);
ABI_SIZE(RmiRecRun, 0x1000);
ABI_SIZE(RsiRealmConfig, 0x1000);
ABI_SIZE(RsiHostCall, 0x100);

#undef ABI_AT
#undef ABI_SIZE
#endif
