/*
 * The KVM backend for Realms: the Realm's state
 *
 * Purpose: the one variable with what is known of the Realm and of the
 * kernel's interface, and the functions that read and change its phase.  Every
 * other file of this folder may use them; this file uses none of the others.
 *
 * Invariants: realm_kvm_init gives the phase its first value, and from then on
 * only realm_kvm_took changes it.
 *
 * Lock rule: system/realm-phase.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "realm-kvm.h"

RealmKvm realm_kvm;

void realm_kvm_init(const RealmConfig *config, bool incoming)
{
    realm_kvm.config = config;
    realm_kvm.phase = realm_phase_first(incoming);
    realm_layout_init(&realm_kvm.layout, config, qemu_real_host_page_size());
}

bool realm_kvm_is_rme(void)
{
    return realm_kvm.abi.generation == RME_GUEST_KVM_ABI_RME;
}

RealmPhase realm_kvm_phase(void)
{
    return qatomic_read(&realm_kvm.phase);
}

bool realm_kvm_check(RealmStep step, Error **errp)
{
    return realm_phase_check(realm_kvm_phase(), step, errp);
}

void realm_kvm_took(RealmStep step)
{
    realm_phase_take(&realm_kvm.phase, step);
}

bool realm_kvm_import_failed(void)
{
    realm_kvm_took(REALM_STEP_FAIL);
    return false;
}
