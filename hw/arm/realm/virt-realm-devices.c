/*
 * The virt board as a Realm: devices
 *
 * Purpose: a device sees shared memory only.  A device that needs private
 * memory for its work, or whose driver gives it private addresses, is refused:
 * the guest would wait for it for ever, or the device would do nothing.
 *
 * Invariants: a device is refused before the machine runs, or, if it is plugged
 * in later, before it exists.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/util.h"
#include "qobject/qbool.h"
#include "qobject/qdict.h"
#include "qemu/error-report.h"
#include "hw/boards.h"
#include "hw/nvram/fw_cfg.h"
#include "hw/qdev-core.h"
#include "hw/virtio/virtio.h"
#include "hw/virtio/virtio-mmio.h"
#include "net/net.h"
#include "qom/object.h"
#include "qom/object_interfaces.h"
#include "virt-realm-internal.h"

#define REALM "rme-guest: a Realm "

/* fw_cfg has DMA only if the user turned it on. */
static bool has_fw_cfg_dma(void)
{
    return fw_cfg_dma_enabled(fw_cfg_find());
}

/* Only firmware shows a guest the tables of ACPI. */
static bool has_firmware(void)
{
    return current_machine->firmware;
}

/*
 * Of RAM in place, a hole takes the Realm's private page away for good, and
 * another process that maps the file takes a SIGBUS from a private page.
 */
static bool has_second_memory(void)
{
    return !virt_realm_memory_in_place();
}

/*
 * Devices whose names begin with @prefix: there is one for each bus.  If @has
 * is given, only a Realm without that refuses them.
 */
static const struct {
    const char *prefix;
    const char *why;
    bool (*has)(void);
} refused[] = {
    { "pc-dimm", "cannot grow" },
    { "nvdimm", "cannot grow" },
    { "virtio-mem", "cannot grow" },
    { "virtio-pmem", "cannot grow" },
    { "virtio-balloon", "whose memory is in place cannot give it back",
      has_second_memory },
    { "vhost-user", "whose memory is in place shows it to no other process",
      has_second_memory },
    { "cryptodev-vhost-user", "whose memory is in place shows it to no other "
      "process", has_second_memory },
    { "virtio-iommu", "puts no private memory behind an IOMMU" },
    { "vmcoreinfo", "has no fw_cfg with DMA", has_fw_cfg_dma },
    { "vmgenid", "has no fw_cfg with DMA", has_fw_cfg_dma },
    { "ramfb", "has no fw_cfg with DMA", has_fw_cfg_dma },
    { "pxb", "without firmware has no ACPI, by which alone a guest finds this "
      "bus", has_firmware },
};

static bool check_name(const char *driver, Error **errp)
{
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        if (g_str_has_prefix(driver, refused[i].prefix) &&
            !(refused[i].has && refused[i].has())) {
            error_setg(errp, REALM "%s; leave %s out", refused[i].why, driver);
            return false;
        }
    }
    return true;
}

/* The other half of a device, by its ID; an unknown one is QEMU's to refuse */
static bool check_backend(const char *netdev, const char *cryptodev,
                          Error **errp)
{
    NetClientState *nc = netdev ? qemu_find_netdev(netdev) : NULL;
    Object *crypto = cryptodev
        ? object_resolve_path_component(object_get_objects_root(), cryptodev)
        : NULL;

    return (!nc || check_name(NetClientDriver_str(nc->info->type), errp)) &&
           (!crypto || check_name(object_get_typename(crypto), errp));
}

/* Of these it is enough to know what they cannot do; libvirt adds one. */
static void tell_limits(const char *driver)
{
    if (g_str_has_prefix(driver, "virtio-balloon")) {
        warn_report_once(REALM "gives back shared memory only, and none of "
                         "its private memory, by %s", driver);
    }
}

/* Without this feature a driver gives its device private addresses. */
static bool check_platform(bool has, const char *driver, Error **errp)
{
    if (!has) {
        error_setg(errp, REALM "shows devices no private memory; "
                   "leave iommu_platform=off out of %s", driver);
    }
    return has;
}

static bool says_off(const QDict *opts, const char *name)
{
    QBool *given = qobject_to(QBool, qdict_get(opts, name));
    const char *text = qdict_get_try_str(opts, name);
    bool on = true;

    if (given) {
        return !qbool_get_bool(given);
    }
    return text && qapi_bool_parse(name, text, &on, NULL) && !on;
}

/* Check the options of -device or device_add; no device is hidden. */
static bool check_options(DeviceListener *listener, const QDict *opts,
                          bool from_json, Error **errp)
{
    const char *driver = qdict_get_str(opts, "driver");

    if (check_name(driver, errp) &&
        check_backend(qdict_get_try_str(opts, "netdev"),
                      qdict_get_try_str(opts, "cryptodev"), errp) &&
        check_platform(!says_off(opts, "iommu_platform"), driver, errp)) {
        tell_limits(driver);
    }
    return false;
}

/* Check what -global said, or a device that was made without -device. */
static void check_device(DeviceListener *listener, DeviceState *dev)
{
    const char *type = object_get_typename(OBJECT(dev));
    g_autofree char *netdev = object_property_get_str(OBJECT(dev), "netdev",
                                                      NULL);
    VirtIODevice *vdev = (VirtIODevice *)
        object_dynamic_cast(OBJECT(dev), TYPE_VIRTIO_DEVICE);
    VirtIOMMIOProxy *mmio = (VirtIOMMIOProxy *)
        object_dynamic_cast(OBJECT(dev), TYPE_VIRTIO_MMIO);

    if (phase_check(PHASE_MACHINE_READY)) {
        return;                 /* too late: check_options has seen it */
    }
    if (mmio && mmio->legacy) {
        error_report(REALM "has no legacy virtio; leave "
                     "virtio-mmio.force-legacy=on out of -global");
        exit(EXIT_FAILURE);
    }
    check_backend(netdev, NULL, &error_fatal);
    check_platform(!vdev ||
                   virtio_host_has_feature(vdev, VIRTIO_F_IOMMU_PLATFORM),
                   type, &error_fatal);
}

/*
 * Devices whose other half is another process, or the kernel.  That half is
 * told where memory is with and without the shared bit, so it need not know
 * VIRTIO_F_IOMMU_PLATFORM; but the driver has to see it.
 */
typedef uint64_t GetFeaturesFn(VirtIODevice *, uint64_t, Error **);

static struct {
    const char *type;
    GetFeaturesFn *get_features;
} halves[] = {
    { "virtio-net-device" },
    { "vhost-user-blk" },
    { "vhost-user-fs-device" },
    { "vhost-user-vsock-device" },
    { "vhost-vsock-device" },
};

static uint64_t keep_platform(VirtIODevice *vdev, uint64_t features,
                              Error **errp)
{
    for (size_t i = 0; i < ARRAY_SIZE(halves); i++) {
        if (object_dynamic_cast(OBJECT(vdev), halves[i].type)) {
            return halves[i].get_features(vdev, features, errp) |
                   (features & BIT_ULL(VIRTIO_F_IOMMU_PLATFORM));
        }
    }
    g_assert_not_reached();     /* only these classes have this function */
}

static void wrap_get_features(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(halves); i++) {
        ObjectClass *oc = object_class_by_name(halves[i].type);

        if (oc) {               /* it is in this build */
            halves[i].get_features = VIRTIO_DEVICE_CLASS(oc)->get_features;
            VIRTIO_DEVICE_CLASS(oc)->get_features = keep_platform;
        }
    }
}

void virt_realm_devices_init(void)
{
    static DeviceListener listener = {
        .hide_device = check_options,
        .realize = check_device,
    };

    device_listener_register(&listener);
    wrap_get_features();

    /*
     * A driver's buffer for DMA would be in private memory, and drivers can do
     * without DMA.  For firmware that shares its buffer, use -global.
     */
    object_register_sugar_prop(TYPE_FW_CFG_MEM, "dma_enabled", "off", false);
    /* QEMU itself chooses disable-legacy=on for virtio devices on PCI. */
    object_register_sugar_prop(TYPE_VIRTIO_MMIO, "force-legacy", "off", false);
}
