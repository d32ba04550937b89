/*
 * The stand-in kernel: the posted versions of KVM's interface for Realms
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "internal.h"

/* @init: KVM_ARM_VCPU_INIT has the feature, not KVM_ARM_VCPU_FINALIZE alone. */
#define RME(version, number, feature, init) \
    { .name = version, .rme = true, .cap = number, .rec_feature = feature, \
      .vcpu_features = (init) ? BIT(feature) : 0, \
      .vm_type = KVM_ARM_RME_VM_TYPE_REALM, .vm_attributes = true, \
      .hash_algo = RMI_HASH_SHA_256 }

static const DoubleFlavour flavours[] = {
    RME("v5", 300, 8, false),
    RME("v8", 240, 9, true),
    RME("v9", 243, 9, true),
    RME("v10", 244, 9, true),
    { .name = "v12", .cap = 247, .vm_type = KVM_ARM_RME_VM_TYPE_REALM,
      .populate = KVM_ARM_RMI_POPULATE_V12, .vm_attributes = true,
      .hash_algo = RMI_HASH_SHA_512 },
    { .name = "v13", .cap = 248, .vm_type = KVM_ARM_RME_VM_TYPE_REALM,
      .populate = KVM_ARM_RMI_POPULATE, .vm_attributes = true,
      .fault_is_error = true, .hash_algo = RMI_HASH_SHA_512 },
    { .name = "v14", .cap = 249, .vm_type = KVM_ARM_RMI_VM_TYPE_REALM,
      .populate = KVM_ARM_RMI_POPULATE, .vm_attributes = true,
      .fault_is_error = true, .hash_algo = RMI_HASH_SHA_512 },
    { .name = "v15", .cap = 251, .vm_type = KVM_ARM_RMI_VM_TYPE_REALM,
      .populate = KVM_ARM_RMI_POPULATE, .fault_is_error = true,
      .hash_algo = RMI_HASH_SHA_256 },
    { .name = "v16", .cap = 253, .vm_type = KVM_ARM_RMI_VM_TYPE_REALM,
      .populate = KVM_ARM_RMI_POPULATE, .fault_is_error = true,
      .in_place = true, .after_v15 = true, .hash_algo = RMI_HASH_SHA_256 },
    { .name = "mainline", .refusal = EINVAL, .vm_attributes = true },
    { .name = "no-rme", .refusal = EPERM, .vm_attributes = true,
      .vm_type = KVM_ARM_RMI_VM_TYPE_REALM },
};

#undef RME

#define NEWEST "v16"

const DoubleFlavour *double_flavour(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(flavours); i++) {
        if (g_str_equal(flavours[i].name, name ?: NEWEST)) {
            return &flavours[i];
        }
    }
    return NULL;
}
