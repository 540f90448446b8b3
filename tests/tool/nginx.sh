# nginx.sh - sourced, after scratch.sh, by tests that want a real web server. SPDX-License-Identifier: MIT
PATH=$PATH:/usr/sbin
command -v nginx >/dev/null || skip "no nginx"

# nginx_start LOG: serves $scratch/served from $scratch, and logs each request in ./sent as LOG says. The function `server`
# prints what stands in its server {}, given a port; the port above that one is meant to be free, too. Sets port and
# SERVER, which the caller ends. Five ports are tried; status 1: none worked.
nginx_start() {
    local tries
    for tries in 1 2 3 4 5; do
        port=$((RANDOM % 20000 + 20000))
        cat >nginx.conf <<NGINX
$([ "$(id -u)" = 0 ] && echo "user root;")
daemon off;
pid $scratch/nginx.pid;
error_log $scratch/error.log;
worker_processes 1;
events {}
http {
    log_format sent '$1';
    access_log $scratch/sent sent;
    client_body_temp_path $scratch/temporary;
    proxy_temp_path $scratch/temporary;
    fastcgi_temp_path $scratch/temporary;
    uwsgi_temp_path $scratch/temporary;
    scgi_temp_path $scratch/temporary;
    root $scratch/served;
    server {
$(server "$port")
    }
}
NGINX
        nginx -p "$scratch" -c "$scratch/nginx.conf" 2>nginx.err &
        SERVER=$!
        for _ in $(seq 50); do
            [ -s nginx.pid ] && return 0
            kill -0 $SERVER 2>/dev/null || break
            sleep 0.1
        done
        kill $SERVER 2>/dev/null # slow, or the port is taken
        wait $SERVER 2>/dev/null
        rm -f nginx.pid
        SERVER=
    done
    cat nginx.err
    return 1
}
