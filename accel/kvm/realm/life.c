/*
 * The KVM backend for Realms: from the VM to a Realm that runs
 *
 * Purpose: create and start a Realm, by the steps of either generation of the
 * posted interface.
 *
 *     step            RME (v5 to v11)              RMI (v12 and later)
 *     configure       CONFIG_REALM                 nothing can be
 *     build           CREATE_REALM                 by the first POPULATE
 *       RAM           INIT_RIPAS, each range       by the first KVM_RUN
 *       images        POPULATE, from the shared    POPULATE, from a pointer
 *                     mapping
 *       vCPUs         SET_ONE_REG, SET_MP_STATE,   SET_ONE_REG, SET_MP_STATE
 *                     FINALIZE
 *       start         ACTIVATE                     by the first KVM_RUN
 *     build_empty     CREATE_REALM, FINALIZE       by OFFER
 *
 * Where guest_memfd has both halves of RAM (RMI, in place), all of it is shared
 * until here.  An image is copied then, its pages become private, and are
 * populated from the copy; the rest becomes private after the images.
 *
 * Invariants:
 * - A Realm is built once: no step leads back to the phase NEW, also not stop
 *   and cont, or a failure.
 * - Images are populated in ascending order and each page once, because the
 *   order is measured.
 *
 * Lock rule: BQL, and no vCPU runs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <linux/kvm-arm-cca.h>
#include "qapi/error.h"
#include "qemu/memalign.h"
#include "realm-kvm.h"
#include "trace.h"

/* An operation of KVM_CAP_ARM_RME, which only the first generation has. */
static bool rme_do(uint64_t operation, const void *args, const char *what,
                   Error **errp)
{
    return realm_kvm_enable_cap(realm_kvm.abi.rme_cap, operation, args, what,
                                errp);
}

/* ---- What the user asked for ---- */

static bool configure_rpv(const RealmConfig *config, Error **errp)
{
    struct kvm_arm_rme_config rme = { .cfg = KVM_ARM_RME_CFG_RPV };

    QEMU_BUILD_BUG_ON(REALM_RPV_SIZE != KVM_ARM_RME_RPV_SIZE);
    if (!config->has_rpv) {
        return true;
    }
    if (!realm_kvm_is_rme()) {
        error_setg(errp, "rme-guest: this kernel's interface for Realms (rmi) "
                   "takes no personalization-value; leave it out");
        return false;
    }
    memcpy(rme.rpv, config->rpv, sizeof(rme.rpv));
    return rme_do(KVM_ARM_RME_CONFIG_REALM, &rme, "set personalization-value",
                  errp);
}

/* The kernel has chosen, and for some kernels it is known what. */
static bool check_fixed_algorithm(const RealmConfig *config, Error **errp)
{
    if (!realm_kvm.abi.sha256) {
        error_setg(errp, "rme-guest: this kernel's interface for Realms (rmi) "
                   "chooses the measurement-algorithm itself; leave it out");
        return false;
    }
    if (config->measurement_algorithm !=
        RME_GUEST_MEASUREMENT_ALGORITHM_SHA256) {
        error_setg(errp, "rme-guest: measurement-algorithm=%s: this kernel's "
                   "interface for Realms (rmi) measures with sha256 only; "
                   "give sha256, or leave it out",
                   RmeGuestMeasurementAlgorithm_str(
                       config->measurement_algorithm));
        return false;
    }
    return true;
}

static bool configure_algorithm(const RealmConfig *config, Error **errp)
{
    struct kvm_arm_rme_config rme = {
        .cfg = KVM_ARM_RME_CFG_HASH_ALGO,
        .hash_algo = config->measurement_algorithm ==
            RME_GUEST_MEASUREMENT_ALGORITHM_SHA256 ? KVM_ARM_RME_HASH_SHA256
                                                   : KVM_ARM_RME_HASH_SHA512,
    };

    if (!config->has_measurement_algorithm) {
        return true;
    }
    if (!realm_kvm_is_rme()) {
        return check_fixed_algorithm(config, errp);
    }
    return rme_do(KVM_ARM_RME_CONFIG_REALM, &rme, "set measurement-algorithm",
                  errp);
}

/*
 * The posted kernels hide MTE from Realms (v14, the list of extensions).
 * Mainline allows a VM either MTE or guest_memfd.
 */
static bool configure_mte(const RealmConfig *config, Error **errp)
{
    int has_mte;

    if (!config->mte) {
        return true;
    }
    if (!realm_kvm_vm_check(KVM_CAP_ARM_MTE, &has_mte, errp)) {
        return false;
    }
    if (!has_mte) {
        error_setg(errp, "rme-guest: this kernel's KVM gives a Realm no memory "
                   "tags (its VM has no KVM_CAP_ARM_MTE); leave mte=on out");
        return false;
    }
    return realm_kvm_enable_cap(KVM_CAP_ARM_MTE, 0, NULL,
                                "give the Realm memory tags", errp);
}

bool realm_kvm_configure(const RealmConfig *config, Error **errp)
{
    return configure_rpv(config, errp) && configure_algorithm(config, errp) &&
           configure_mte(config, errp);
}

/* ---- RAM and images ---- */

static bool init_ripas(const RealmRange *range, Error **errp)
{
    struct kvm_arm_rme_init_ripas args = {
        .base = range->base,
        .size = range->top - range->base,
    };

    return rme_do(KVM_ARM_RME_INIT_RIPAS, &args, "declare its RAM", errp);
}

static bool populate_rme(const RealmRange *image, Error **errp)
{
    struct kvm_arm_rme_populate args = {
        .base = image->base,
        .size = image->top - image->base,
        .flags = KVM_ARM_RME_POPULATE_MEASURE,
    };

    return rme_do(KVM_ARM_RME_POPULATE, &args, "populate its memory", errp);
}

/*
 * Returns how many bytes of @before the kernel has populated, or 0 with @errp
 * set.  Version 12 returns them; later versions move the range in @after.
 */
static uint64_t populated_bytes(const struct kvm_arm_rmi_populate *before,
                                const struct kvm_arm_rmi_populate *after,
                                int ret, Error **errp)
{
    bool v12 = realm_kvm.abi.populate == KVM_ARM_RMI_POPULATE_V12;
    uint64_t done = v12 ? ret : before->size - after->size;
    bool consistent = v12 ||
        (ret == 0 && after->base == before->base + done &&
         after->source_uaddr == before->source_uaddr + done);

    if (!consistent || done == 0 || done > before->size ||
        !QEMU_IS_ALIGNED(done, realm_kvm.layout.page_size)) {
        realm_kvm_invalid_answer(errp, "KVM_ARM_RMI_POPULATE", "of 0x%" PRIx64
                                 " bytes at 0x%" PRIx64 ", it populated 0x%"
                                 PRIx64, (uint64_t)before->size,
                                 (uint64_t)before->base, done);
        return 0;
    }
    return done;
}

/* The kernel may populate a part of the range: ask it for the rest. */
static bool populate_from(const RealmRange *image, const uint8_t *source,
                          Error **errp)
{
    uint64_t base = image->base, done;

    for (; base < image->top; base += done, source += done) {
        struct kvm_arm_rmi_populate before = {
            .base = base,
            .size = image->top - base,
            .source_uaddr = (uintptr_t)source,
            .flags = KVM_ARM_RMI_POPULATE_MEASURE,
        }, after = before;
        RealmKvmCall call = { "KVM_ARM_RMI_POPULATE", realm_kvm.abi.populate,
                              &after };
        int ret = realm_kvm_vm_call(&call);

        trace_realm_kvm_populate(base, image->top - base);
        if (ret < 0) {
            error_setg_errno(errp, -ret, "Realm: cannot populate 0x%" PRIx64
                             " bytes at 0x%" PRIx64 ": %s", image->top - base,
                             base, call.name);
            return false;
        }
        done = populated_bytes(&before, &after, ret, errp);
        if (!done) {
            return false;
        }
    }
    return true;
}

static bool populate_in_place(const RealmRange *image, Error **errp)
{
    size_t size = image->top - image->base;
    uint8_t *copy = qemu_try_memalign(realm_kvm.layout.page_size, size);
    bool ok;

    if (!copy) {
        error_setg(errp, "Realm: cannot populate 0x%zx bytes at 0x%" PRIx64
                   ": no memory for a copy of this image; free some of the "
                   "host's", size, image->base);
        return false;
    }
    memcpy(copy, realm_kvm_shared(image->base, size), size);
    ok = realm_kvm_discard(image->base, size, false, errp) &&
         populate_from(image, copy, errp);
    qemu_vfree(copy);
    return ok;
}

static bool populate_rmi(const RealmRange *image, Error **errp)
{
    return realm_kvm.abi.in_place
        ? populate_in_place(image, errp)
        : populate_from(image, realm_kvm_shared(image->base, image->top -
                                                             image->base),
                        errp);
}

static bool for_ranges(const GArray *ranges,
                       bool (*do_range)(const RealmRange *, Error **),
                       Error **errp)
{
    for (guint i = 0; i < ranges->len; i++) {
        if (!do_range(&realm_range(ranges, i), errp)) {
            return false;
        }
    }
    return true;
}

/* Nothing of the range is shared from now on; in place, it becomes private. */
static bool discard_shared(const RealmRange *range, Error **errp)
{
    return realm_kvm_discard(range->base, range->top - range->base, false,
                             errp);
}

static bool populate_images(Error **errp)
{
    g_autoptr(GArray) images = realm_layout_images(&realm_kvm.layout);

    return for_ranges(images, realm_kvm_is_rme() ? populate_rme
                                                 : populate_rmi, errp);
}

/* ---- vCPUs ---- */

static bool set_register(CPUState *cs, uint64_t id, uint64_t value,
                         Error **errp)
{
    struct kvm_one_reg reg = {
        .id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | id,
        .addr = (uintptr_t)&value,
    };
    g_autofree char *what = g_strdup_printf("set register 0x%" PRIx64 " of "
                                            "vCPU %d", (uint64_t)reg.id,
                                            cs->cpu_index);

    return realm_kvm_vcpu_do(cs, REALM_KVM_CALL(KVM_SET_ONE_REG, &reg), what,
                             errp);
}

/* A host chooses with which registers a vCPU starts (RmiRecParams). */
static bool set_boot_registers(CPUState *cs, Error **errp)
{
    uint64_t x[8], pc;

    if (!realm_kvm_boot_registers(cs, x, &pc)) {
        return true;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(x); i++) {
        if (!set_register(cs, KVM_REG_ARM_CORE_REG(regs.regs[0]) + 2 * i, x[i],
                          errp)) {
            return false;
        }
    }
    return set_register(cs, KVM_REG_ARM_CORE_REG(regs.pc), pc, errp);
}

/*
 * Only the first vCPU's REC can run before a CPU_ON.  QEMU learns which vCPUs
 * start powered off after KVM_ARM_VCPU_INIT, so its feature POWER_OFF is too
 * early.
 */
static bool set_power_state(CPUState *cs, Error **errp)
{
    struct kvm_mp_state state = {
        .mp_state = cs->start_powered_off ? KVM_MP_STATE_STOPPED
                                          : KVM_MP_STATE_RUNNABLE,
    };
    g_autofree char *what = g_strdup_printf("set the power state of vCPU %d",
                                            cs->cpu_index);

    return realm_kvm_vcpu_do(cs, REALM_KVM_CALL(KVM_SET_MP_STATE, &state),
                             what, errp);
}

static bool finalize_vcpu(CPUState *cs, Error **errp)
{
    int feature = realm_kvm.abi.rec_feature;
    g_autofree char *what = g_strdup_printf("create the REC of vCPU %d",
                                            cs->cpu_index);

    return !realm_kvm_is_rme() ||
           realm_kvm_vcpu_do(cs, REALM_KVM_CALL(KVM_ARM_VCPU_FINALIZE,
                                                &feature), what, errp);
}

static bool for_vcpus(bool (*do_vcpu)(CPUState *, Error **), Error **errp)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (!do_vcpu(cs, errp)) {
            return false;
        }
    }
    return true;
}

/* ---- The whole ---- */

static bool create_rme(Error **errp)
{
    return !realm_kvm_is_rme() ||
           rme_do(KVM_ARM_RME_CREATE_REALM, NULL, "create it", errp);
}

static bool activate_rme(Error **errp)
{
    return !realm_kvm_is_rme() ||
           rme_do(KVM_ARM_RME_ACTIVATE, NULL, "activate it", errp);
}

/* The images that are shared are given back once the Realm has its own. */
static bool build(Error **errp)
{
    const GArray *ram = realm_kvm.layout.ram;

    return for_vcpus(set_boot_registers, errp) &&
           for_vcpus(set_power_state, errp) && create_rme(errp) &&
           (!realm_kvm_is_rme() || for_ranges(ram, init_ripas, errp)) &&
           populate_images(errp) && for_ranges(ram, discard_shared, errp) &&
           for_vcpus(finalize_vcpu, errp) && activate_rme(errp);
}

/* The kernel imports no page that is shared, as in place all are at first. */
static bool build_empty(Error **errp)
{
    return create_rme(errp) && for_vcpus(finalize_vcpu, errp) &&
           (!realm_kvm.abi.in_place ||
            for_ranges(realm_kvm.layout.ram, discard_shared, errp));
}

/* @step was tried, and @ok says whether it worked. */
static bool end_build(RealmStep step, bool ok)
{
    realm_kvm_took(ok ? step : REALM_STEP_BREAK);
    realm_kvm.layout.fixed = true;
    return ok;
}

bool realm_kvm_build(Error **errp)
{
    return end_build(REALM_STEP_BUILD, build(errp));
}

bool realm_kvm_build_empty(Error **errp)
{
    return end_build(REALM_STEP_BUILD_EMPTY, build_empty(errp));
}
