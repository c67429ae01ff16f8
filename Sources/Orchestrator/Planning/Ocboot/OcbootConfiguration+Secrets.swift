import Cluster
package import Inventories
import Yams

/// The inventory's own keys for ocboot may hold secrets, a registry's password for one. A run's record is kept where others read it:
/// there the mask stands in their place, and whoever goes on with the run has them in an inventory.
extension OcbootConfiguration {
    /// The text with the mask in the place of each value whose key is called a secret.
    package static func masked(_ text: String) -> String {
        guard let root = try? Yams.compose(yaml: text) else { return mask }
        let hidden = hiding(root, isSecret: false)
        guard hidden != root else { return text }
        return (try? Yams.serialize(node: hidden, width: -1, allowUnicode: true)) ?? mask
    }

    /// The text with the inventory's values where the mask stands for them; what the inventory does not have stays masked.
    package static func unmasked(_ text: String, _ ocboot: Inventory.Ocboot) -> String {
        guard text.contains(mask), var root = try? Yams.compose(yaml: text)?.mapping else { return text }
        for (section, own) in [
            ("primary_master_node", ocboot.primaryMasterNode), ("master_nodes", ocboot.masterNodes),
        ] {
            guard var entries = root[.init(section)]?.mapping else { continue }
            for entry in own where entries[.init(entry.key)].map(isMasked) == true {
                entries[.init(entry.key)] = entry.value.node
            }
            root[.init(section)] = .mapping(entries)
        }
        return (try? Yams.serialize(node: .mapping(root), width: -1, allowUnicode: true)) ?? text
    }

    private static func hiding(_ node: Yams.Node, isSecret: Bool) -> Yams.Node {
        switch node {
        case .scalar(let scalar):
            return isSecret && scalar.string != mask ? .scalar(.init(mask, .implicit, .doubleQuoted)) : node
        case .sequence(var items):
            for index in items.indices { items[index] = hiding(items[index], isSecret: isSecret) }
            return .sequence(items)
        case .mapping(var entries):
            for (key, value) in entries {
                let isSecret = isSecret || key.string.map { Redactor.isSecret(name: $0) } == true
                entries[key] = hiding(value, isSecret: isSecret)
            }
            return .mapping(entries)
        case .alias: return node
        }
    }

    private static func isMasked(_ node: Yams.Node) -> Bool {
        switch node {
        case .scalar(let scalar): scalar.string == mask
        case .sequence(let items): items.contains(where: isMasked)
        case .mapping(let entries): entries.contains { isMasked($0.value) }
        case .alias: false
        }
    }
}

extension Plan {
    /// As it may be kept where others read it.
    package var withoutSecrets: Plan {
        var plan = self
        plan.ocboot?.configuration = ocboot.map { OcbootConfiguration.masked($0.configuration) } ?? ""
        // Its arguments may be a password's; whoever fences has it in the inventory.
        plan.fenceCommand = fenceCommand.map { Array($0.prefix(1)) + [OcbootConfiguration.mask] }
        return plan
    }

    /// The plan of a record, with what only the inventory has.
    package func completed(by inventory: Inventory) -> Plan {
        var plan = self
        if let own = inventory.ocboot, let ocboot {
            plan.ocboot?.configuration = OcbootConfiguration.unmasked(ocboot.configuration, own)
        }
        if fenceCommand != nil { plan.fenceCommand = inventory.host(named: dead.host)?.fence ?? fenceCommand }
        return plan
    }
}
