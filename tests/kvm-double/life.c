/*
 * The stand-in kernel: what builds a Realm, in both generations
 *
 * Purpose: the sub-operations of KVM_CAP_ARM_RME (versions 5 to 11), and
 * KVM_ARM_RMI_POPULATE (from version 12 on).  In the latter versions the first
 * KVM_RUN builds the rest (run.c).
 *
 * Lock rule: handlers run with DoubleVm.lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "internal.h"

/* ---- First generation ---- */

static int config_realm(DoubleVm *vm, const struct kvm_arm_rme_config *config)
{
    switch (config->cfg) {
    case KVM_ARM_RME_CFG_RPV:
        memcpy(vm->rpv, config->rpv, sizeof(vm->rpv));
        return 0;
    case KVM_ARM_RME_CFG_HASH_ALGO:
        if (config->hash_algo > KVM_ARM_RME_HASH_SHA512) {
            return double_forbid(EINVAL, "hash algorithm %u",
                                 config->hash_algo);
        }
        vm->hash_algo = config->hash_algo;
        return 0;
    default:
        return double_forbid(EINVAL, "configuration item %u", config->cfg);
    }
}

static bool overlaps(const DoubleRange *range, uint64_t base, uint64_t size)
{
    return base < range->top && base + size > range->base;
}

static int init_ripas(DoubleVm *vm, const struct kvm_arm_rme_init_ripas *args)
{
    DoubleRange range = { args->base, args->base + args->size };

    if (!args->size || !vm_is_aligned(args->base, args->size) ||
        !buffer_is_zero(args->reserved, sizeof(args->reserved))) {
        return double_forbid(EINVAL, "whole pages, and reserved is zero");
    }
    if (!vm_is_ram(vm, args->base, args->size)) {
        return double_forbid(EINVAL, "0x%" PRIx64 " is not a slot with "
                             "guest_memfd", (uint64_t)args->base);
    }
    if (g_hash_table_size(vm->populated)) {
        return double_forbid(EINVAL, "INIT_RIPAS comes before POPULATE");
    }
    for (guint i = 0; i < vm->ripas->len; i++) {
        if (overlaps(&g_array_index(vm->ripas, DoubleRange, i), args->base,
                     args->size)) {
            return double_forbid(EINVAL, "INIT_RIPAS of the same page twice");
        }
    }
    if (mmu_ripas(vm, 0, range.base, range.top)) {
        return -ENXIO;
    }
    g_array_append_val(vm->ripas, range);
    return 0;
}

static bool has_ripas(DoubleVm *vm, uint64_t base, uint64_t size)
{
    for (guint i = 0; i < vm->ripas->len; i++) {
        DoubleRange *range = &g_array_index(vm->ripas, DoubleRange, i);

        if (base >= range->base && base + size <= range->top) {
            return true;
        }
    }
    return false;
}

/* Populate one page of the host's size; twice is forbidden. */
static int populate_page(DoubleVm *vm, uint64_t gpa, const uint8_t *source,
                         bool measure)
{
    gpointer page = GSIZE_TO_POINTER(gpa / the_double->page_size);

    if (!vm_is_private(vm, gpa)) {
        return double_forbid(EINVAL, "the page at 0x%" PRIx64 " is not "
                             "private", gpa);
    }
    if (!g_hash_table_add(vm->populated, page)) {
        return double_forbid(ENXIO, "the page at 0x%" PRIx64 " is populated "
                             "twice", gpa);
    }
    for (size_t at = 0; at < the_double->page_size; at += GRANULE) {
        if (mmu_populate(vm, gpa + at, source + at,
                         measure ? RMI_DATA_MEASURE : 0)) {
            return -ENXIO;
        }
    }
    return 0;
}

static int populate_rme(DoubleVm *vm, const struct kvm_arm_rme_populate *args)
{
    DoubleSlot *slot = slot_at(vm, args->base);
    int ret = 0;

    if (!args->size || !vm_is_aligned(args->base, args->size) ||
        args->flags & ~KVM_ARM_RME_POPULATE_MEASURE ||
        !buffer_is_zero(args->reserved, sizeof(args->reserved))) {
        return double_forbid(EINVAL, "whole pages, known flags, and reserved "
                             "is zero");
    }
    if (!has_ripas(vm, args->base, args->size)) {
        return double_forbid(EINVAL, "POPULATE needs INIT_RIPAS of 0x%" PRIx64
                             " before", (uint64_t)args->base);
    }
    for (uint64_t at = 0; at < args->size && !ret;
         at += the_double->page_size) {
        uint64_t gpa = args->base + at;
        const uint8_t *source = (uint8_t *)(uintptr_t)
            slot->region.userspace_addr + (gpa - slot->region.guest_phys_addr);

        ret = populate_page(vm, gpa, source, args->flags);
    }
    return ret;
}

static int activate(DoubleVm *vm)
{
    for (guint i = 0; i < vm->vcpus->len; i++) {
        DoubleVcpu *vcpu = g_ptr_array_index(vm->vcpus, i);

        if (!vcpu->finalized) {
            return double_forbid(EINVAL, "vCPU %u has no REC", i);
        }
    }
    return vm->vcpus->len ? host_activate(vm)
                          : double_forbid(EINVAL, "there is no vCPU");
}

int life_enable_rme(DoubleVm *vm, const struct kvm_enable_cap *cap)
{
    static const struct {
        const char *name;
        DoubleVmState state;
    } steps[] = {
        [KVM_ARM_RME_CONFIG_REALM] = { "CONFIG_REALM", VM_NONE },
        [KVM_ARM_RME_CREATE_REALM] = { "CREATE_REALM", VM_NONE },
        [KVM_ARM_RME_INIT_RIPAS] = { "INIT_RIPAS", VM_NEW },
        [KVM_ARM_RME_POPULATE] = { "POPULATE", VM_NEW },
        [KVM_ARM_RME_ACTIVATE] = { "ACTIVATE", VM_NEW },
    };
    const void *arg = (const void *)(uintptr_t)cap->args[1];

    if (cap->args[0] >= ARRAY_SIZE(steps)) {
        return double_forbid(EINVAL, "step %u", (unsigned)cap->args[0]);
    }
    if (vm->state != steps[cap->args[0]].state) {
        return double_forbid(EINVAL, "%s not in state %d of the VM",
                             steps[cap->args[0]].name, vm->state);
    }
    switch (cap->args[0]) {
    case KVM_ARM_RME_CONFIG_REALM:
        return config_realm(vm, arg);
    case KVM_ARM_RME_CREATE_REALM:
        return host_create(vm);
    case KVM_ARM_RME_INIT_RIPAS:
        return init_ripas(vm, arg);
    case KVM_ARM_RME_POPULATE:
        return populate_rme(vm, arg);
    default:
        return activate(vm);
    }
}

int vcpu_finalize(DoubleFile *file, void *arg)
{
    DoubleVcpu *vcpu = file->object;
    int ret;

    if (*(int *)arg != the_double->flavour->rec_feature) {
        return double_forbid(EINVAL, "feature %d is not KVM_ARM_VCPU_REC",
                             *(int *)arg);
    }
    if (!vcpu->initialized || vcpu->finalized) {
        return double_forbid(EINVAL, "KVM_ARM_VCPU_FINALIZE comes once, after "
                             "KVM_ARM_VCPU_INIT");
    }
    if (vcpu->vm->state == VM_NONE) {
        return double_forbid(ENOENT, "there is no Realm yet");
    }
    ret = host_create_rec(vcpu);
    vcpu->finalized = !ret;
    return ret;
}

/* ---- Second generation ---- */

static int check_populate(DoubleVm *vm,
                          const struct kvm_arm_rmi_populate *args)
{
    bool source = args->source_uaddr ||
                  (!args->size && !the_double->flavour->after_v15);

    if (!vm->realm) {
        return -ENXIO;
    }
    if (args->reserved || args->flags & ~KVM_ARM_RMI_POPULATE_MEASURE ||
        !vm_is_aligned(args->base, args->size) ||
        args->base + args->size < args->base ||
        !vm_is_aligned(args->source_uaddr, 0)) {
        return double_forbid(EINVAL, "whole pages, known flags, and reserved "
                             "is zero");
    }
    if (!source) {
        return double_forbid(the_double->flavour->after_v15 ? EINVAL
                                                            : EOPNOTSUPP,
                             "there is no source");
    }
    return vm->state > VM_NEW
        ? double_forbid(EBUSY, "POPULATE in state %d of the VM", vm->state)
        : 0;
}

/* After version 15, a size of 0 is enough to create the Realm. */
static int create_for_populate(DoubleVm *vm, uint64_t size)
{
    return vm->rd || (!size && !the_double->flavour->after_v15)
        ? 0 : host_create(vm);
}

static int check_range(DoubleVm *vm, const struct kvm_arm_rmi_populate *args)
{
    uint64_t top = BIT_ULL(vm->ipa_bits - 1);

    if (args->size > top || args->base > top - args->size) {
        return double_forbid(EINVAL, "0x%" PRIx64 " bytes at 0x%" PRIx64
                             " are not in the protected half",
                             (uint64_t)args->size, (uint64_t)args->base);
    }
    return !args->size || vm_is_ram(vm, args->base, args->size) ? 0
        : double_forbid(EINVAL, "0x%" PRIx64 " is not a slot with guest_memfd",
                        (uint64_t)args->base);
}

/* Returns how many bytes were populated, maybe a part, or a negative errno. */
static int64_t populate_rmi(DoubleVm *vm,
                            const struct kvm_arm_rmi_populate *args)
{
    uint64_t size = double_partly() ? MIN(args->size, the_double->page_size)
                                    : args->size;
    const uint8_t *source = (const uint8_t *)(uintptr_t)args->source_uaddr;
    uint64_t at;
    int ret = 0;

    for (at = 0; at < size; at += the_double->page_size) {
        ret = populate_page(vm, args->base + at, source + at, args->flags);
        if (ret) {
            break;
        }
    }
    return at ?: ret;
}

int vm_populate(DoubleFile *file, void *arg)
{
    struct kvm_arm_rmi_populate *args = arg;
    int64_t ret = check_populate(file->vm, args) ?:
                  create_for_populate(file->vm, args->size) ?:
                  check_range(file->vm, args);

    if (!ret && args->size) {
        ret = populate_rmi(file->vm, args);
    }
    if (ret <= 0 ||
        the_double->flavour->populate == KVM_ARM_RMI_POPULATE_V12) {
        return ret;
    }
    args->base += ret;
    args->source_uaddr += ret;
    args->size -= ret;
    return 0;
}
