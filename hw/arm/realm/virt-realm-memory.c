/*
 * The virt board as a Realm: RAM in place
 *
 * Purpose: where the kernel has both halves of a Realm's memory in guest_memfd,
 * all RAM of the Realm is a memory-backend-guest-memfd.  The board's RAM is
 * that by default, under the name that it has on any other host, which a
 * migration knows it by; another backend of the user's is refused.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qom/object_interfaces.h"
#include "hw/boards.h"
#include "system/hostmem.h"
#include "system/hostmem-guest-memfd.h"
#include "system/kvm.h"
#include "system/realm-kvm.h"
#include "system/realm-shared-ram.h"
#include "system/system.h"
#include "virt-realm-internal.h"

/* Known at compile time where there is no KVM, nor a function of its. */
static inline bool in_place(void)
{
    return kvm_enabled() && realm_kvm_in_place();
}

bool virt_realm_memory_in_place(void)
{
    return in_place();
}

/* RAM with the name @id, also for a migration. */
static HostMemoryBackend *make_backend(const char *id, uint64_t size,
                                       Error **errp)
{
    Object *obj = object_new(TYPE_MEMORY_BACKEND_GUEST_MEMFD);
    bool ok = object_property_set_int(obj, "size", size, errp) &&
              object_property_set_bool(obj,
                                       "x-use-canonical-path-for-ramblock-id",
                                       false, errp);

    if (ok) {
        object_property_add_child(object_get_objects_root(), id, obj);
        ok = user_creatable_complete(USER_CREATABLE(obj), errp);
        if (!ok) {
            object_unparent(obj);
        }
    }
    object_unref(obj);
    return ok ? MEMORY_BACKEND(obj) : NULL;
}

/* MachineClass.create_default_memdev */
static bool create_ram(MachineState *machine, const char *path, Error **errp)
{
    HostMemoryBackend *backend;

    if (path) {
        error_setg(errp, "rme-guest: with this kernel a Realm's memory is no "
                   "file, but guest_memfd; leave -mem-path out");
        return false;
    }
    backend = make_backend(MACHINE_GET_CLASS(machine)->default_ram_id,
                           machine->ram_size, errp);
    return backend && object_property_set_link(OBJECT(machine),
                                               "memory-backend",
                                               OBJECT(backend), errp);
}

bool virt_realm_memory_init(MachineState *machine, const RealmConfig *config,
                            Error **errp)
{
    if (config->has_convert_in_place &&
        config->convert_in_place != in_place()) {
        error_setg(errp, "rme-guest: convert-in-place=%s: this kernel has %s; "
                   "leave it out", config->convert_in_place ? "on" : "off",
                   in_place() ? "both halves of a Realm's memory in "
                   "guest_memfd, and no other way"
                   : "private memory alone in guest_memfd");
        return false;
    }
    /* It would be locked once more, as memory, wherever nothing is lent. */
    if (in_place() && should_mlock(mlock_state)) {
        error_setg(errp, "rme-guest: with this kernel a Realm's memory is "
                   "never swapped out, and QEMU's cannot be locked; leave "
                   "mem-lock out of -overcommit");
        return false;
    }
    if (in_place()) {
        MACHINE_GET_CLASS(machine)->create_default_memdev = create_ram;
    } else {
        machine->cgs->require_guest_memfd = true;
    }
    return true;
}

bool virt_realm_memory_check(MachineState *machine, Error **errp)
{
    const char *type = object_get_typename(OBJECT(machine->memdev));
    bool is_gmem = !strcmp(type, TYPE_MEMORY_BACKEND_GUEST_MEMFD);

    if (in_place() && !is_gmem) {
        error_setg(errp, "rme-guest: with this kernel a Realm's memory is a "
                   TYPE_MEMORY_BACKEND_GUEST_MEMFD ", and not '%s'; leave "
                   "memory-backend out, or give one of this type", type);
    } else if (!in_place() && is_gmem) {
        error_setg(errp, "rme-guest: with this kernel '%s' cannot be a Realm's "
                   "memory; give another memory backend", type);
    } else {
        return true;
    }
    return false;
}

MemoryRegion *virt_realm_memory_firmware(const char *name, uint64_t size)
{
    MachineState *machine = current_machine;
    MemoryRegion *ram;

    if (in_place()) {
        return machine_consume_memdev(machine, make_backend(name, size,
                                                            &error_fatal));
    }
    ram = g_new(MemoryRegion, 1);
    (machine_require_guest_memfd(machine)
     ? memory_region_init_ram_guest_memfd
     : memory_region_init_ram)(ram, NULL, name, size, &error_fatal);
    return ram;
}

void virt_realm_memory_share(MemoryRegion *ram)
{
    realm_shared_ram_attach(ram, kvm_enabled() && realm_kvm_in_place()
                                 ? realm_kvm_set_private : NULL);
}
