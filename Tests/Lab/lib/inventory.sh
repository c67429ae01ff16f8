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
    local HOSTS=${hosts%$'\n'} ONECLOUD
    ONECLOUD=$(cat "$STATE/onecloud" 2>/dev/null || echo v3.8.8)
    render "$LAB/lib/inventory.yaml"
}
