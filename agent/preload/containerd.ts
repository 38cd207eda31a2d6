/**
 * Has the containerd of this host pull and unpack an image: by its transfer service (1.7 and later), which takes any
 * namespace; else by the interface that Kubernetes uses, whose images are in one namespace.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import { callGrpc, GRPC, type GrpcAnswer } from '../../platform/http/grpc.ts';
import { protoField, protoMessage } from './protobuf.ts';

/** In which Kubernetes has its images. */
const kubernetes = 'k8s.io';

export type ContainerdPull = {
  /** host:port/repository:tag. */
  readonly image: string;
  readonly namespace: string;
  /** As images name it. */
  readonly architecture: string;
};

/** Throws RUNTIME_FAILED with what containerd says. */
export async function pullByContainerd(socket: string, pull: ContainerdPull, signal: AbortSignal): Promise<void> {
  const metadata = { 'containerd-namespace': pull.namespace };
  const ask = async (method: string, bytes: Uint8Array): Promise<GrpcAnswer> => {
    try {
      return await callGrpc(socket, { method, message: bytes, metadata }, signal);
    } catch (error) {
      signal.throwIfAborted();
      const { code, message: why } = error as NodeJS.ErrnoException;
      throw failed(`${socket} cannot be asked (\`preload.containerd\`): ${code ?? why}`);
    }
  };
  const answer = await ask('containerd.services.transfer.v1.Transfer/Transfer', transferOf(pull));
  if (answer.status === GRPC.ok) return;
  if (answer.status !== GRPC.unimplemented) throw failed(answer.text);
  if (pull.namespace !== kubernetes)
    throw failed(`before its release 1.7 it takes an image into the namespace ${kubernetes} only, from here`);
  const second = await ask(
    'runtime.v1.ImageService/PullImage',
    protoMessage(protoField(1, protoMessage(protoField(1, pull.image)))),
  );
  if (second.status !== GRPC.ok) throw failed(second.text);
}

/** From a registry into the images of the namespace, and unpacked for this host's platform. */
function transferOf({ image, architecture }: ContainerdPull): Uint8Array {
  const platform = protoMessage(protoField(1, 'linux'), protoField(2, architecture));
  // Only its default scheme: it is a port of this host, without certificates.
  const resolver = protoMessage(protoField(4, 'http'));
  const source = any(
    'containerd.types.transfer.OCIRegistry',
    protoMessage(protoField(1, image), protoField(2, resolver)),
  );
  const unpack = protoMessage(protoField(1, platform));
  const target = protoMessage(protoField(1, image), protoField(3, platform), protoField(10, unpack));
  return protoMessage(protoField(1, source), protoField(2, any('containerd.types.transfer.ImageStore', target)));
}

function any(type: string, bytes: Uint8Array): Uint8Array {
  return protoMessage(protoField(1, type), protoField(2, bytes));
}

function failed(why: string): ApiError {
  return new ApiError('RUNTIME_FAILED', `containerd did not pull the image: ${why}`);
}
