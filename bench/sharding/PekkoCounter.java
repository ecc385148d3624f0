// Contestant: counters on Pekko cluster sharding, two JVMs, Artery over plain TCP, messages in
// Jackson's CBOR. The first JVM hosts entities; the second only sends, so that all its asks are
// remote. Mode "local" asks in the JVM that hosts.
import com.typesafe.config.Config;
import com.typesafe.config.ConfigFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.actor.typed.Behavior;
import org.apache.pekko.actor.typed.javadsl.Behaviors;
import org.apache.pekko.cluster.sharding.typed.javadsl.ClusterSharding;
import org.apache.pekko.cluster.sharding.typed.javadsl.Entity;
import org.apache.pekko.cluster.sharding.typed.javadsl.EntityRef;
import org.apache.pekko.cluster.sharding.typed.javadsl.EntityTypeKey;

public final class PekkoCounter {
  public interface Message {}

  public static final class Add implements Message {
    public int amount;
    public ActorRef<Value> replyTo;

    public Add() {}

    Add(int amount, ActorRef<Value> replyTo) {
      this.amount = amount;
      this.replyTo = replyTo;
    }
  }

  public static final class Value implements Message {
    public int value;

    public Value() {}

    Value(int value) {
      this.value = value;
    }
  }

  static final EntityTypeKey<Add> KEY = EntityTypeKey.create(Add.class, "counter");

  static Behavior<Add> counter(int value) {
    return Behaviors.receiveMessage(
        add -> {
          int next = value + add.amount;
          add.replyTo.tell(new Value(next));
          return counter(next);
        });
  }

  static ActorSystem<Void> start(int port, int seedPort, String role, int shards) {
    Config config =
        ConfigFactory.parseString(
                "pekko.loglevel=OFF\npekko.stdout-loglevel=OFF\n"
                    + "pekko.actor.serialization-bindings.\"PekkoCounter$Message\"=jackson-cbor\n"
                    + "pekko.actor.provider=cluster\n"
                    + "pekko.remote.artery.transport=tcp\n"
                    + "pekko.remote.artery.canonical.hostname=127.0.0.1\n"
                    + "pekko.remote.artery.canonical.port=" + port + "\n"
                    + "pekko.cluster.seed-nodes=[\"pekko://bench@127.0.0.1:" + seedPort + "\"]\n"
                    + "pekko.cluster.roles=[\"" + role + "\"]\n"
                    + "pekko.cluster.jmx.multi-mbeans-in-same-jvm=on\n"
                    + "pekko.cluster.sharding.role=host\n"
                    + "pekko.cluster.sharding.number-of-shards=" + shards + "\n"
                    + "pekko.cluster.sharding.passivation.strategy=none\n")
            .withFallback(ConfigFactory.load());
    ActorSystem<Void> system = ActorSystem.create(Behaviors.empty(), "bench", config);
    ClusterSharding.get(system).init(Entity.of(KEY, context -> counter(0)).withRole("host"));
    return system;
  }

  final List<EntityRef<Add>> counters = new ArrayList<>();
  final AtomicLong turns = new AtomicLong();

  CompletionStage<Value> ask() {
    EntityRef<Add> counter = counters.get((int) (turns.getAndIncrement() % counters.size()));
    return counter.ask(replyTo -> new Add(1, replyTo), Duration.ofSeconds(20));
  }

  /** Keeps `inFlight` asks open for a time; asks a second. */
  double rate(int inFlight, long forMs) throws InterruptedException {
    long startedNs = System.nanoTime();
    long untilNs = startedNs + TimeUnit.MILLISECONDS.toNanos(forMs);
    AtomicLong done = new AtomicLong();
    CountDownLatch ended = new CountDownLatch(inFlight);
    for (int i = 0; i < inFlight; i++) next(untilNs, done, ended);
    ended.await();
    return done.get() * 1e9 / (System.nanoTime() - startedNs);
  }

  void next(long untilNs, AtomicLong done, CountDownLatch ended) {
    if (System.nanoTime() >= untilNs) {
      ended.countDown();
      return;
    }
    ask()
        .whenCompleteAsync(
            (value, error) -> {
              if (error == null) done.incrementAndGet();
              next(untilNs, done, ended);
            },
            // On the thread that has the answer. Without this, on few cores, each gets a new thread.
            Runnable::run);
  }

  double[] times(long forMs) throws Exception {
    long untilNs = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(forMs);
    List<Double> found = new ArrayList<>();
    while (System.nanoTime() < untilNs) {
      long startedNs = System.nanoTime();
      ask().toCompletableFuture().get();
      found.add((System.nanoTime() - startedNs) / 1e3);
    }
    double[] sorted = found.stream().mapToDouble(Double::doubleValue).toArray();
    Arrays.sort(sorted);
    return new double[] {sorted[sorted.length / 2], sorted[(int) (sorted.length * 0.99)]};
  }

  public static void main(String[] args) throws Exception {
    String mode = args[0];
    int port = Integer.parseInt(args[1]);
    int seedPort = Integer.parseInt(args[2]);
    int shards = Integer.parseInt(args[3]);
    ActorSystem<Void> system = start(port, seedPort, mode.equals("remote") ? "client" : "host", shards);
    if (mode.equals("host")) {
      // Ends with the process that started it.
      while (System.in.read() != -1) {}
      System.exit(0);
    }
    PekkoCounter bench = new PekkoCounter();
    int entities = Integer.parseInt(args[4]);
    int inFlight = Integer.parseInt(args[5]);
    long warmUpMs = Long.parseLong(args[6]);
    long measureMs = Long.parseLong(args[7]);
    for (int i = 0; i < entities; i++) {
      bench.counters.add(ClusterSharding.get(system).entityRefFor(KEY, "entity-" + i));
    }
    bench.ask().toCompletableFuture().get();
    bench.rate(inFlight, warmUpMs);
    double rate = bench.rate(inFlight, measureMs);
    double[] times = bench.times(measureMs / 2);
    System.out.println(
        String.format(java.util.Locale.ROOT, "[%f,%f,%f]", rate, times[0], times[1]));
    System.exit(0);
  }
}
