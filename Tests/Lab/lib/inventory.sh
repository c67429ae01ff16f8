# masterswap's inventory of this cluster. inventory/lab.yaml is the one of profile runbook; the others differ in values.

verb_inventory() {
    local i role hosts=
    for i in "${!NAMES[@]}"; do
        role=master
        [[ ${NAMES[i]} != "$SPARE" ]] || role=spare
        # The inventory has masters and spares; a worker is known by its node alone.
        ! is_worker "${NAMES[i]}" || continue
        hosts+="  ${NAMES[i]}: { address: ${ADDRESSES[i]}, role: $role }"$'\n'
    done
    local HOSTS=${hosts%$'\n'} SERIES=default-influxdb
    [[ ! -e $STATE/onecloud ]] || ONECLOUD=$(<"$STATE/onecloud")
    ! is_k3s || SERIES=default-victoria-metrics
    render "$LAB/lib/inventory.yaml"
}
