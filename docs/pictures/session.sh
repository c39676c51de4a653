# The session of `terminal.svg` (`cargo xtask pictures`). Each line is shown and run; a line that begins with `#!` is
# run without being shown.
stoop serve hello.sock &
#!until [ -S hello.sock ]; do sleep 0.1; done; sleep 0.5
echo "hello, socket" | stoop connect hello.sock

stoop who hello.sock

kill -9 $!
#!wait $! 2>/dev/null
stoop connect hello.sock
