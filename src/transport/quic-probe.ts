// Tells at once that nobody listens on a UDP port. QUIC itself waits for its timeout: quinn does
// not hear of the refusal that the other machine sends, a connected socket does.
import dgram from 'node:dgram';

/**
 * Calls `refused` when `ip:port` is refused; an empty datagram, which QUIC ignores, asks. Returns
 * how to stop.
 */
export function probePort(
  { ip, port }: { ip: string; port: number },
  refused: (error: Error) => void,
): () => void {
  const socket = dgram.createSocket(ip.includes(':') ? 'udp6' : 'udp4');
  let open = true;
  const stop = () => {
    if (!open) return;
    open = false;
    socket.close();
  };
  socket.on('error', (error) => {
    if (!open) return;
    stop();
    refused(error);
  });
  socket.connect(port, ip, () => {
    if (open) socket.send(new Uint8Array(0));
  });
  return stop;
}
