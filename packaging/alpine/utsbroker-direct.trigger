#!/bin/sh
# apk runs this after each transaction that touches /usr/libexec: so after installation, upgrade and
# `apk fix` of utsbroker and utsbroker-direct. `p`, not `ep`: the broker makes the capability effective
# only for the one system call that needs it.
[ ! -e /usr/libexec/utsbroker ] || setcap cap_sys_admin=p /usr/libexec/utsbroker
