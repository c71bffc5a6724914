#!/bin/sh
# nginx can read no variable: its configuration is written for each process, with a
# pid file and folders of its own, as a successor runs beside its predecessor.
dir=$PWD/nginx-$NODE_APP_INSTANCE-$$
mkdir -p "$dir" || exit 1
cat >"$dir/nginx.conf" <<END
daemon off;
worker_processes 2;
pid $dir/nginx.pid;
error_log stderr;
events { }
http {
  access_log off;
  client_body_temp_path $dir/body;
  proxy_temp_path $dir/proxy;
  fastcgi_temp_path $dir/fastcgi;
  uwsgi_temp_path $dir/uwsgi;
  scgi_temp_path $dir/scgi;
  server {
    listen 127.0.0.1:$PORT;
    default_type text/plain;
    return 200 "instance $NODE_APP_INSTANCE process \$pid\n";
  }
}
END
exec nginx -e stderr -c "$dir/nginx.conf"
