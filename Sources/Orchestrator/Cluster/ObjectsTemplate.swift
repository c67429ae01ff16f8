/// The go-template that `kubectl get` prints ``KubernetesObjects`` with: the same JSON, with just the fields that are read. A cluster of
/// ten thousand pods is fifty megabytes as whole objects, and four like this.
///
/// A field that a decision needs is added in two places: to its type in `Kubernetes*.swift`, and here.
enum ObjectsTemplate {
    static let text = #"{"kind":"List","items":["# + separated(range: ".items", unless: unused, item) + "]}"

    /// A Deployment keeps ten old ReplicaSets that own no pod any more.
    private static let unused = #"and (eq .kind "ReplicaSet") (not .status.replicas)"#

    /// kubectl's argument.
    static let argument = "go-template=" + text

    /// The command that prints the objects of these kinds. kubectl writes a template's output piece by piece, and each piece would
    /// become a packet of its own: it is gathered first.
    static func command(_ kubectl: [String]) -> [String] {
        ["sh", "-c", #"answer=$("$@") || exit; printf '%s' "$answer""#, "sh"] + kubectl
            + ["get", KubernetesObjects.kinds, "-A", "-o", argument]
    }

    private static let item =
        #"{{$kind := .kind}}{{$owner := ""}}{{range .metadata.ownerReferences}}{{$owner = .kind}}{{end}}{"kind":{{printf "%q" .kind}},"#
        + metadata + node + pod + volume + claim + workload
        + storageClass + end + "}"

    private static let metadata = object(
        "metadata",
        text("namespace") + text("name") + text("deletionTimestamp")
            + list("ownerReferences", text("kind") + text("name") + flag("controller"), last: "uid")
            + annotations(
                "kubernetes.io/config.mirror", "volume.kubernetes.io/selected-node", Node.cordonAnnotation,
                StorageClass.defaultAnnotation, StorageClass.formerDefaultAnnotation,
                "etcd.k3s.cattle.io/node-name", "etcd.k3s.cattle.io/node-address")
            + when("StorageClass", text("creationTimestamp"))
            + when("Node", text("creationTimestamp") + map("labels")),
        last: "uid")

    private static let node = when(
        "Node",
        object("spec", flag("unschedulable"))
            + object(
                "status",
                list(
                    "conditions",
                    text("type") + text("status") + text("reason") + text("lastTransitionTime")
                        + text("lastHeartbeatTime"))
                    + list("addresses", text("type") + text("address"))
                    + object(
                        "nodeInfo", text("kubeletVersion") + text("machineID") + text("containerRuntimeVersion"))))

    /// What runs in a pod is asked of a Deployment's own template.
    private static let pod = when(
        "Pod",
        object(
            "spec",
            claims + #"{{if ne $owner "ReplicaSet"}}"# + list("containers", text("image"), last: "name") + "{{end}}",
            last: "nodeName")
            + object("status", list("containerStatuses", answer("ready"), last: "name"), last: "phase"))

    private static let volume = when(
        "PersistentVolume",
        object(
            "spec",
            text("storageClassName") + text("persistentVolumeReclaimPolicy")
                + object("claimRef", text("namespace") + text("name") + text("uid"))
                + object("nodeAffinity", object("required", nodeSelector)) + object("hostPath", text("path"))
                + object("local", text("path"))
                + ["nfs", "iscsi", "cephfs", "rbd", "csi"].map(presence).joined())
            + object("status", last: "phase"))

    private static let claim = when(
        "PersistentVolumeClaim",
        object("spec", text("storageClassName"), last: "volumeName") + object("status", last: "phase"))

    private static let storageClass = when(
        "StorageClass",
        text("provisioner") + text("volumeBindingMode")
            + list("allowedTopologies", list("matchLabelExpressions", text("key") + texts("values"))))

    private static let workload =
        when(
            "StatefulSet",
            object(
                "spec",
                number("replicas") + object("ordinals", number("start"))
                    + list(
                        "volumeClaimTemplates",
                        object("metadata", annotations(Claim.classAnnotation), last: "name")
                            + object("spec", given("storageClassName"))) + podTemplate)
                + object("status", number("readyReplicas")))
        + when(
            "Deployment",
            object("spec", number("replicas") + podTemplate) + object("status", number("availableReplicas")))
        + when(
            "DaemonSet",
            object("spec", podTemplate)
                + object("status", number("numberAvailable") + number("desiredNumberScheduled")))
        + when("Job", object("spec", podTemplate))
        + when("CronJob", object("spec", object("jobTemplate", object("spec", podTemplate))))

    /// Volumes of pods that are claims; the others are not read.
    private static let claims =
        #"{{with .volumes}}"volumes":[{{$c := ""}}{{range .}}{{if or .persistentVolumeClaim .ephemeral}}{{$c}}{ "#
        + object("persistentVolumeClaim", last: "claimName") + presence("ephemeral") + final("name") + "}"
        + #"{{$c = ","}}{{end}}{{end}}],{{end}}"#

    private static let expressions = list("matchExpressions", text("key") + text("operator") + texts("values"))
    private static let nodeSelector = list(
        "nodeSelectorTerms", expressions + list("matchFields", text("key") + text("operator") + texts("values")))

    /// Of a workload's pods. Of its variables only MinIO's own settings have their values printed: others may be secrets.
    private static let podTemplate = object(
        "template",
        object(
            "spec",
            claims + map("nodeSelector")
                + object(
                    "affinity",
                    object("nodeAffinity", object("requiredDuringSchedulingIgnoredDuringExecution", nodeSelector)))
                + list(
                    "containers",
                    text("name") + text("image") + list("envFrom", "")
                        + list("volumeMounts", text("name") + text("mountPath"))
                        + list(
                            "env",
                            text("name")
                                + #"{{if or (eq .name "MINIO_STORAGE_CLASS_STANDARD") (eq .name "MINIO_ERASURE_SET_DRIVE_COUNT") (eq .name "PROVISIONER_NAME")}}"#
                                + text("value") + "{{end}}" + presence("valueFrom")))))

    // A brace that stands alone before an action has a blank after it: `{{{` would not be read as one.

    // MARK: Parts: each prints `"key":value,`, or nothing where the key is missing

    /// An object's last field, so that each one before may end with a comma.
    private static let end = #""":0"#

    private static func when(_ kind: String, _ fields: String) -> String {
        #"{{if eq $kind "\#(kind)"}}"# + fields + "{{end}}"
    }

    /// A text, quoted as Go quotes it: as JSON does, but for control characters, which no field here can have.
    private static func text(_ key: String) -> String { #"{{with .\#(key)}}"\#(key)":{{printf "%q" .}},{{end}}"# }

    /// A text, also where it is empty.
    private static func given(_ key: String) -> String {
        #"{{if ne (printf "%v" .\#(key)) "<nil>"}}"\#(key)":{{printf "%q" .\#(key)}},{{end}}"#
    }

    /// Only where it is true.
    private static func flag(_ key: String) -> String { #"{{if .\#(key)}}"\#(key)":true,{{end}}"# }

    /// Also where it is false.
    private static func answer(_ key: String) -> String { #""\#(key)":{{if .\#(key)}}true{{else}}false{{end}},"# }

    /// Also where it is 0.
    private static func number(_ key: String) -> String {
        #"{{if ne (printf "%v" .\#(key)) "<nil>"}}"\#(key)":{{.\#(key)}},{{end}}"#
    }

    private static func presence(_ key: String) -> String { #"{{if .\#(key)}}"\#(key)":{},{{end}}"# }

    /// - Parameter last: a text that is always there, or is null: it needs no end after it.
    private static func object(_ key: String, _ fields: String = "", last: String? = nil) -> String {
        #"{{with .\#(key)}}"\#(key)":{ "# + fields + (last.map(final) ?? end) + "},{{end}}"
    }

    private static func final(_ key: String) -> String {
        #""\#(key)":{{with .\#(key)}}{{printf "%q" .}}{{else}}null{{end}}"#
    }

    private static func list(_ key: String, _ fields: String = "", last: String? = nil) -> String {
        #"{{with .\#(key)}}"\#(key)":["# + separated(range: ".", "{ " + fields + (last.map(final) ?? end) + "}")
            + "],{{end}}"
    }

    private static func texts(_ key: String) -> String {
        #"{{with .\#(key)}}"\#(key)":["# + separated(range: ".", #"{{printf "%q" .}}"#) + "],{{end}}"
    }

    private static func map(_ key: String) -> String {
        #"{{with .\#(key)}}"\#(key)":{ {{$c := ""}}{{range $k, $v := .}}{{$c}}{{printf "%q" $k}}:{{printf "%q" $v}}{{$c = ","}}{{end}}},{{end}}"#
    }

    /// Of the annotations just these, for the others may be long.
    private static func annotations(_ names: String...) -> String {
        let each = names.map { name in
            #"{{with index . "\#(name)"}}{{$c}}"\#(name)":{{printf "%q" .}}{{$c = ","}}{{end}}"#
        }
        return #"{{with .annotations}}{{$c := ""}}"annotations":{ "# + each.joined() + "},{{end}}"
    }

    private static func separated(range list: String, unless condition: String? = nil, _ item: String) -> String {
        let each = #"{{$c}}"# + item + #"{{$c = ","}}"#
        return #"{{$c := ""}}{{range \#(list)}}"# + (condition.map { "{{if not (\($0))}}\(each){{end}}" } ?? each)
            + "{{end}}"
    }
}
