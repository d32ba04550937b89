/*
 * Realms under TCG: what backs private RAM
 *
 * Purpose: private RAM is made as the user wants the machine's memory: size of
 * pages, preallocation and its threads, NUMA policy and nodes, reserve, merge,
 * dump.  It is a second backend, with those properties of the first:
 *
 *     machine's memory backend   private RAM
 *     pages of the kernel's own  memory-backend-ram
 *     huge pages                 memory-backend-memfd with such pages
 *
 * Invariants: nobody but this process can map private RAM, so it is never in
 * a file: share=on and mem-path are about the shared view.  The memfd, which
 * only chooses the size of pages, is mapped privately, and stays empty.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/units.h"
#include "hw/boards.h"
#include "migration/cpr.h"
#include "qobject/qobject.h"
#include "qom/object_interfaces.h"
#include "qom/qom-qobject.h"
#include "backing.h"

static bool copy_value(Object *to, Object *from, const char *name,
                       Error **errp)
{
    QObject *value = object_property_get_qobject(from, name, errp);
    bool ok = value && object_property_set_qobject(to, name, value, errp);

    qobject_unref(value);
    return ok;
}

/* prealloc=on and reserve=off exclude each other: the first is set first. */
static bool copy_values(Object *to, const HostMemoryBackend *from,
                        Error **errp)
{
    static const char *const names[] = {
        "merge", "dump", "prealloc-threads", "prealloc", "reserve",
        "policy", "host-nodes",
    };
    /* Without a policy there are no nodes, and perhaps no such properties. */
    size_t count = ARRAY_SIZE(names) -
                   (from->policy == HOST_MEM_POLICY_DEFAULT ? 2 : 0);

    for (size_t i = 0; i < count; i++) {
        if (object_property_find(OBJECT(from), names[i]) &&
            !copy_value(to, OBJECT(from), names[i], errp)) {
            return false;
        }
    }
    return true;
}

static bool set_pages(Object *to, size_t size, Error **errp)
{
    return object_property_set_bool(to, "share", false, errp) &&
           (size == qemu_real_host_page_size() ||
            (object_property_set_bool(to, "hugetlb", true, errp) &&
             object_property_set_uint(to, "hugetlbsize", size, errp)));
}

/* No name that the user can give is like this one, which has a '/'. */
static bool set_properties(Object *to, HostMemoryBackend *from, uint64_t size,
                           Error **errp)
{
    return object_property_set_uint(to, "size", size, errp) &&
           object_property_set_bool(to, "x-use-canonical-path-for-ramblock-id",
                                    true, errp) &&
           set_pages(to, host_memory_backend_pagesize(from), errp) &&
           copy_values(to, from, errp) &&
           object_property_set_link(to, "prealloc-context",
                                    OBJECT(from->prealloc_context), errp);
}

/* CPR would hand what it knows to another process. */
static void forget_fd(HostMemoryBackend *backend)
{
    g_autofree char *name = host_memory_backend_get_name(backend);

    cpr_delete_fd(name, 0);
}

static const char *type_for(HostMemoryBackend *from)
{
    return host_memory_backend_pagesize(from) == qemu_real_host_page_size()
        ? TYPE_MEMORY_BACKEND_RAM : TYPE_MEMORY_BACKEND_MEMFD;
}

HostMemoryBackend *realm_backing_new(const char *name, uint64_t size,
                                     Error **errp)
{
    ERRP_GUARD();
    HostMemoryBackend *from = current_machine->memdev;
    Object *to = object_new(type_for(from));

    object_property_add_child(OBJECT(current_machine), name, to);
    object_unref(to);
    if (!set_properties(to, from, size, errp) ||
        !user_creatable_complete(USER_CREATABLE(to), errp)) {
        error_prepend(errp, "rme-guest: no private memory like the memory of "
                      "the machine (a Realm has both): ");
        return NULL;
    }
    host_memory_backend_set_mapped(MEMORY_BACKEND(to), true);
    forget_fd(MEMORY_BACKEND(to));
    return MEMORY_BACKEND(to);
}
