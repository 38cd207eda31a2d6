// HDFS for tests: NameNodes and DataNodes of Hadoop's own, in one process, with WebHDFS on given ports. Run as a single source
// file by a java that has Hadoop's jars on its class path (programs.ts).
//
//   MiniHdfs DIR CONTROL_PORT HTTP_PORT[,HTTP_PORT] DATA_NODES [KEY=VALUE...]
//
// Two ports: two NameNodes, of which the first is active at the start. On the control port, GET:
//   /active?n=1             that NameNode becomes the active one      /stop?n=0            that NameNode ends
//   /safemode?on=true       enters safe mode, or leaves it            /quota?path=P&bytes=N
//   /directory?path=P&user=U  makes it, as U's own                    /snapshots?path=P    allows them, and makes one
//   /files?path=P           what lies below it, a line each
// DIR is used as it was left, if there is something.

import com.sun.net.httpserver.HttpServer;
import java.io.File;
import java.net.InetSocketAddress;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.hdfs.DistributedFileSystem;
import org.apache.hadoop.hdfs.MiniDFSCluster;
import org.apache.hadoop.hdfs.MiniDFSNNTopology;
import org.apache.hadoop.hdfs.protocol.HdfsConstants.SafeModeAction;

public class MiniHdfs {
  static MiniDFSCluster cluster;
  static int active = 0;

  public static void main(String[] args) throws Exception {
    Configuration conf = new Configuration();
    for (int i = 4; i < args.length; i++) {
      String[] pair = args[i].split("=", 2);
      conf.set(pair[0], pair[1]);
    }
    File dir = new File(args[0]);
    String[] ports = args[2].split(",");
    MiniDFSCluster.Builder builder = new MiniDFSCluster.Builder(conf, dir)
      .format(!new File(dir, "name-0-1").exists() && !new File(dir, "name1").exists())
      .numDataNodes(Integer.parseInt(args[3]));
    if (ports.length == 1) builder.nameNodeHttpPort(Integer.parseInt(ports[0]));
    else {
      MiniDFSNNTopology.NSConf service = new MiniDFSNNTopology.NSConf("shoal");
      for (int n = 0; n < ports.length; n++)
        service.addNN(new MiniDFSNNTopology.NNConf("nn" + n).setHttpPort(Integer.parseInt(ports[n])));
      builder.nnTopology(new MiniDFSNNTopology().addNameservice(service));
    }
    cluster = builder.build();
    if (ports.length > 1) cluster.transitionToActive(0);
    cluster.waitActive();
    HttpServer control = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[1])), 0);
    control.createContext("/", exchange -> {
      String said;
      int status = 200;
      try {
        said = done(exchange.getRequestURI().getPath(), query(exchange.getRequestURI().getRawQuery()));
      } catch (Exception error) {
        status = 500;
        said = error.toString();
      }
      byte[] bytes = said.getBytes(StandardCharsets.UTF_8);
      exchange.sendResponseHeaders(status, bytes.length == 0 ? -1 : bytes.length);
      exchange.getResponseBody().write(bytes);
      exchange.close();
    });
    control.start();
    Thread.currentThread().join();
  }

  static synchronized String done(String what, Map<String, String> how) throws Exception {
    Path path = how.containsKey("path") ? new Path(how.get("path")) : null;
    int n = Integer.parseInt(how.getOrDefault("n", "0"));
    switch (what) {
      case "/ready":
        return "ready";
      case "/active":
        if (cluster.getNameNode(active) != null) cluster.transitionToStandby(active);
        cluster.transitionToActive(n);
        active = n;
        return "";
      case "/stop":
        cluster.shutdownNameNode(n);
        return "";
      case "/safemode":
        files().setSafeMode(how.get("on").equals("true") ? SafeModeAction.SAFEMODE_ENTER : SafeModeAction.SAFEMODE_LEAVE);
        return "";
      case "/quota":
        files().setQuota(path, Long.MAX_VALUE, Long.parseLong(how.get("bytes")));
        return "";
      case "/directory":
        files().mkdirs(path);
        files().setOwner(path, how.get("user"), "supergroup");
        return "";
      case "/snapshots":
        files().allowSnapshot(path);
        files().createSnapshot(path);
        return "";
      case "/files":
        StringBuilder all = new StringBuilder();
        var each = files().listFiles(path, true);
        while (each.hasNext()) all.append(each.next().getPath().toUri().getPath()).append('\n');
        return all.toString();
      default:
        throw new IllegalArgumentException(what);
    }
  }

  static DistributedFileSystem files() throws Exception {
    return cluster.getFileSystem(active);
  }

  static Map<String, String> query(String text) {
    Map<String, String> all = new HashMap<>();
    for (String pair : text == null ? new String[0] : text.split("&")) {
      String[] both = pair.split("=", 2);
      all.put(both[0], URLDecoder.decode(both[1], StandardCharsets.UTF_8));
    }
    return all;
  }
}
