# What outlives a node's namespaces: its folder, and its cgroups. stdin ends when the test lets go of the node or dies,
# in whatever way; then they go too.
dir=$1
trap '' INT TERM HUP
cat >/dev/null

# Pods have cgroups below the node's name, those of a kubelet's below containerd's.
groups() {
    echo "${dir##*/}"
    for task in "$dir"/run/containerd/io.containerd.runtime.v2.task/k8s.io/*; do echo "k8s.io/${task##*/}"; done
}

# In each v1 hierarchy, or in the one of v2. A killed task lingers for a moment, so it tries for a while.
for _ in $(seq 100); do
    left=
    for group in $(groups); do
        for top in "/sys/fs/cgroup/$group" /sys/fs/cgroup/*/"$group"; do
            [ -d "$top" ] || continue
            find "$top" -depth -type d -exec rmdir {} \; 2>/dev/null
            [ ! -d "$top" ] || left=1
        done
    done
    [ "$left" ] || break
    sleep 0.1
done
rm -rf "$dir"
