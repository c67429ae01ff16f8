workloads_up() { :; }
install_ocboot() { :; }
