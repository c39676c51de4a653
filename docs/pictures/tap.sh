# The session of `tap.svg` (`cargo xtask pictures tap`), as root. Each line is shown and run; a line that begins with
# `#!` is run without being shown.
#!redis-server --port 0 --save '' --unixsocket redis.sock > /dev/null & redis=$!; until [ -S redis.sock ]; do sleep 0.1; done
stoop tap redis.sock &
#!tap=$!; until ls -l /proc/$tap/fd | grep -q bpf-prog; do sleep 0.1; done; sleep 3
redis-cli -s redis.sock set color green
#!sleep 1
redis-cli -s redis.sock config set requirepass hunter2
#!sleep 1
#!kill $tap $redis; wait $tap $redis 2> /dev/null
