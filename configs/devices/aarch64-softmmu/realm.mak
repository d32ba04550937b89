# The default device list of this fork: the virt board, PCI, virtio.
# ./configure --full builds all boards and devices instead.
#
# SPDX-License-Identifier: GPL-2.0-or-later

CONFIG_ARM_VIRT=y
CONFIG_PCI_DEVICES=n
CONFIG_TEST_DEVICES=n
CONFIG_GENERIC_LOADER=y
CONFIG_VIRTIO_PCI=y
CONFIG_VIRTIO_BLK=y
CONFIG_VIRTIO_NET=y
CONFIG_VIRTIO_RNG=y
CONFIG_VIRTIO_9P=y
CONFIG_VHOST_VSOCK=y
CONFIG_VIRTIO_BALLOON=y
CONFIG_VIRTIO_SERIAL=y
CONFIG_VIRTIO_SCSI=y
